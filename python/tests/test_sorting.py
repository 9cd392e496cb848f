"""Sorting from paths and arrays, and the result."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import numpy as np
import pytest

import somata


def same_spikes(first: somata.SortResult, second: somata.SortResult) -> bool:
    return np.array_equal(first.spike_samples, second.spike_samples) and np.array_equal(
        first.spike_units, second.spike_units
    )


def test_the_result_holds_units_that_validate_finds_in_the_truth(sorted_folder: Path, recording_folder: Path) -> None:
    result = somata.load(sorted_folder)
    assert isinstance(result, somata.SortResult)
    scores = somata.validate(result, recording_folder)["sorting"]["per_unit"]
    # Ten units, of which some are below the noise; eight were found when this was written.
    assert sum(unit["accuracy"] > 0.8 for unit in scores) > 5
    assert result.sampling_frequency_hz == 30_000
    assert result.duration_s == pytest.approx(15)


def test_spike_trains_of_all_units_are_all_spikes(sorted_folder: Path) -> None:
    result = somata.SortResult(sorted_folder)
    trains = [result.spike_train_samples(unit) for unit in result.unit_ids]
    assert sum(map(len, trains)) == len(result.spike_samples) > 0
    assert all(np.all(np.diff(train) >= 0) for train in trains)
    joined = np.sort(np.concatenate(trains))
    assert np.array_equal(joined, result.spike_samples)
    seconds = result.spike_train_s(0)
    assert seconds == pytest.approx(trains[0] / 30_000)
    with pytest.raises(KeyError, match="there is no unit"):
        result.spikes_of(len(result))


def test_tables_and_arrays_agree_in_their_shapes(sorted_folder: Path) -> None:
    result = somata.SortResult(sorted_folder)
    n_units, n_channels = len(result), len(result.channels)
    assert result.templates.shape == result.templates_uv.shape == result.templates_sd_uv.shape
    assert result.templates.shape[::2] == (n_units, n_channels)
    assert result.template_similarity.shape == (n_units, n_units)
    assert result.channel_positions_um.shape == (n_channels, 2)
    assert result.spike_positions_um.shape == (len(result.spike_samples), 2)
    counts = np.bincount(result.spike_units, minlength=n_units)
    assert np.array_equal(counts, result.unit_columns["n_spikes"])
    assert set(result.unit_columns["label"]) <= {"good", "mua"}
    assert len(result.good_unit_ids) == result.manifest["n_good"]
    assert result.parameters["matching"]["sweeps"] == somata.parameters("sort")["matching.sweeps"].default


def test_the_units_are_a_pandas_table(sorted_folder: Path) -> None:
    pytest.importorskip("pandas")
    units = somata.SortResult(sorted_folder).units
    assert units.index.name == "unit_id"
    assert {"label", "snr", "firing_rate_hz"} <= set(units.columns)
    assert units["snr"].dtype == np.float64


def test_an_array_gives_the_same_spikes_as_the_folder(
    sorted_folder: Path, samples: np.ndarray, positions_um: np.ndarray, tmp_path: Path
) -> None:
    result = somata.sort(
        samples,
        tmp_path / "out",
        sampling_frequency_hz=30_000,
        positions_um=positions_um,
        gain_uv=0.195,
        device="cpu",
        progress=False,
    )
    assert same_spikes(result, somata.SortResult(sorted_folder))
    # The copy is gone, so phy must not look for it.
    assert "dat_path = ''\n" in (tmp_path / "out/phy/params.py").read_text()


def test_a_memory_map_is_read_where_it_is(
    sorted_folder: Path, recording_folder: Path, positions_um: np.ndarray, tmp_path: Path
) -> None:
    whole = np.memmap(recording_folder / "recording.bin", np.int16, mode="r", shape=(15 * 30_000, 32))
    facts = {"sampling_frequency_hz": 30_000, "positions_um": positions_um, "gain_uv": 0.195, "progress": False}
    result = somata.sort(whole, tmp_path / "whole", device="cpu", **facts)
    assert same_spikes(result, somata.SortResult(sorted_folder))
    assert result.manifest["inputs"][0]["path"] == str(recording_folder / "recording.bin")
    # A slice of a map is not the whole file any more.
    part = somata.sort(whole[: 30_000 * 4], device="cpu", **facts)
    assert part.n_samples == 30_000 * 4


def test_a_map_in_another_shape_is_still_the_file_and_a_slice_of_it_is_not(tmp_path: Path) -> None:
    from somata._recordings import _whole_file

    path = tmp_path / "samples.bin"
    np.arange(60, dtype=np.int16).tofile(path)
    flat = np.memmap(path, np.int16, mode="r")
    assert _whole_file(flat.reshape(-1, 4)) == (path, 0)
    assert _whole_file(flat.reshape(-1, 4)[1:]) is None
    assert _whole_file(flat[4:].reshape(-1, 4)) is None
    assert _whole_file(flat.reshape(-1, 4)[::-1]) is None
    assert _whole_file(flat.reshape(4, -1).T) is None
    assert _whole_file(np.memmap(path, np.int16, mode="r", offset=8).reshape(-1, 4)) == (path, 8)


def test_the_probe_of_an_array_may_be_a_file(sorted_folder: Path, recording_folder: Path, samples: np.ndarray) -> None:
    facts = {"sampling_frequency_hz": 30_000, "gain_uv": 0.195, "device": "cpu", "progress": False}
    result = somata.sort(samples, probe=recording_folder / "probe.json", **facts)
    assert same_spikes(result, somata.SortResult(sorted_folder))


def test_parameters_reach_the_program(recording_folder: Path, tmp_path: Path) -> None:
    result = somata.sort(
        recording_folder,
        tmp_path / "out",
        device="cpu",
        progress=False,
        motion={"correct": False},
        **{"matching.rounds": 1, "matching.sweeps": 0},
    )
    assert result.parameters["motion"]["correct"] is False
    assert result.parameters["matching"]["rounds"] == 1
    assert result.parameters["matching"]["sweeps"] == 0


def test_events_reach_the_callback_in_order(recording_folder: Path, tmp_path: Path) -> None:
    events: list[somata.Event] = []
    fast = {"motion": {"correct": False}, "matching": {"rounds": 1, "sweeps": 0}}
    somata.sort(recording_folder, tmp_path / "out", device="cpu", progress=events.append, **fast)
    started = [event.stage for event in events if event.kind == "stage_started"]
    done = [event.stage for event in events if event.kind == "stage_done"]
    assert started[0] == "survey" and done[-1] == "waveforms"
    fractions = [event.fraction for event in events if event.kind == "progress" and event.stage == "detection"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    # The second call finds the result complete: nothing runs.
    again: list[somata.Event] = []
    somata.sort(recording_folder, tmp_path / "out", device="cpu", progress=again.append, **fast)
    assert again == []


def test_an_exception_in_the_callback_stops_the_run_and_the_next_call_resumes(
    recording_folder: Path, tmp_path: Path
) -> None:
    class Enough(Exception):
        pass

    def stop(event: somata.Event) -> None:
        if event.kind == "stage_done" and event.stage == "detection":
            raise Enough

    with pytest.raises(Enough):
        somata.sort(recording_folder, tmp_path / "out", device="cpu", progress=stop)
    assert not (tmp_path / "out").exists()
    result = somata.sort(recording_folder, tmp_path / "out", device="cpu", progress=False)
    assert [stage["stage"] for stage in result.manifest["stages"] if stage["resumed"]][:2] == ["survey", "detection"]


def test_a_result_without_a_folder_goes_with_its_object_unless_it_is_kept(
    recording_folder: Path, tmp_path: Path
) -> None:
    fast = {"motion": {"correct": False}, "matching": {"rounds": 1, "sweeps": 0}}
    result = somata.sort(recording_folder, device="cpu", progress=False, **fast)
    folder = result.folder
    assert folder.exists()
    kept = result.keep(tmp_path / "kept")
    n_spikes = len(kept.spike_samples)
    assert n_spikes > 0 and not folder.parent.exists()
    del result
    gc.collect()
    assert len(somata.load(tmp_path / "kept").spike_samples) == n_spikes
    gone = somata.sort(recording_folder, device="cpu", progress=False, **fast)
    scratch = gone.folder.parent
    assert scratch.exists()
    del gone
    gc.collect()
    assert not scratch.exists()


def test_wrong_input_is_an_exception_with_the_programs_sentence(tmp_path: Path, binary: Path) -> None:
    with pytest.raises(somata.SomataInputError) as caught:
        somata.sort(tmp_path / "nowhere", tmp_path / "out", progress=False)
    assert caught.value.code == 3
    assert "nowhere" in caught.value.message and "hint:" in str(caught.value)
    with pytest.raises(somata.SomataUsageError, match=r"unknown parameter `matching\.sweep`, did you mean"):
        somata.sort(tmp_path, tmp_path / "out", progress=False, matching={"sweep": 1})
    with pytest.raises(somata.SomataUsageError, match="neither an argument nor a stage"):
        somata.sort(tmp_path, tmp_path / "out", sweeps=1)


def test_another_result_in_the_way_is_an_output_error(recording_folder: Path, sorted_folder: Path) -> None:
    with pytest.raises(somata.SomataOutputError) as caught:
        somata.sort(recording_folder, sorted_folder, device="cpu", matching={"sweeps": 1})
    assert caught.value.code == 4 and "force" in caught.value.hint
    assert "force" in str(caught.value)


def test_a_limit_below_what_one_thread_needs_is_refused_with_the_need(recording_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(somata.SomataUsageError, match="need at least") as caught:
        somata.sort(recording_folder, tmp_path / "out", device="cpu", memory="1MB", progress=False)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("array", "facts", "sentence"),
    [
        (np.zeros((100, 4)), {}, "sampling frequency"),
        (np.zeros((100, 4)), {"sampling_frequency_hz": 30_000}, "where its channels are"),
        (np.zeros(100), {"sampling_frequency_hz": 30_000}, "has 1 axes"),
        (np.zeros((4, 100)), {"sampling_frequency_hz": 30_000}, "turned round"),
        (np.zeros((100, 4), complex), {"sampling_frequency_hz": 30_000}, "complex128"),
        (np.zeros((100, 4)), {"sampling_frequency_hz": 30_000, "positions_um": np.zeros((3, 2))}, r"not \[4, 2\]"),
        ([[1, 2]], {}, "cannot be a `list`"),
    ],
)
def test_an_array_that_does_not_fit_is_told_in_one_sentence(array: object, facts: dict, sentence: str) -> None:
    with pytest.raises(somata.SomataError, match=sentence) as caught:
        somata.sort(array, **facts)
    assert caught.value.hint


def test_a_folder_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(somata.SomataInputError, match="not a complete result"):
        somata.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "segment"}))
    with pytest.raises(somata.SomataInputError, match="somata segment"):
        somata.load(tmp_path)


def test_a_notebook_shows_facts_table_and_figure(sorted_folder: Path) -> None:
    result = somata.SortResult(sorted_folder)
    shown = result._repr_html_()
    assert f"{len(result)} ({len(result.good_unit_ids)} good)" in shown and "<th>snr</th>" in shown
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        assert "data:image/png" not in shown
    else:
        assert "data:image/png" in shown
    # A page of many results stays small.
    assert len(shown) < 100_000
