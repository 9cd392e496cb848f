"""somata inside SpikeInterface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import somata

si = pytest.importorskip("spikeinterface.core", reason="SpikeInterface is not installed")
pytest.importorskip("spikeinterface.sorters", reason="SpikeInterface's sorters are not installed")

FAST = {"matching_rounds": 1, "matching_sweeps": 0, "motion_correct": False}


@pytest.fixture(scope="module")
def truth_and_recording(recording_folder: Path) -> tuple:
    """The simulated recording as SpikeInterface's own object, with the true sorting."""
    from probeinterface import read_probeinterface

    recording = si.BinaryRecordingExtractor(
        [recording_folder / "recording.bin"], 30_000, "int16", 32, gain_to_uV=0.195, offset_to_uV=0
    )
    recording.set_probegroup(read_probeinterface(recording_folder / "probe.json"))
    truth = np.load(recording_folder / "truth.npz")
    return si.NumpySorting.from_samples_and_labels(truth["samples"], truth["labels"], 30_000), recording


def test_run_sorter_gives_what_the_program_gives_and_agrees_with_the_truth(
    truth_and_recording: tuple, sorted_folder: Path, tmp_path: Path
) -> None:
    from spikeinterface.comparison import compare_sorter_to_ground_truth
    from spikeinterface.sorters import get_default_sorter_params, installed_sorters, run_sorter

    import somata.spikeinterface

    assert "somata" in installed_sorters()
    assert get_default_sorter_params("somata")["matching_sweeps"] == 3
    truth, recording = truth_and_recording
    sorting = run_sorter("somata", recording, folder=tmp_path / "out", device="cpu", threads=2)
    direct = somata.SortResult(sorted_folder)
    spikes = sorting.to_spike_vector()
    assert np.array_equal(np.sort(spikes["sample_index"]), direct.spike_samples)
    assert list(sorting.get_property("label")) == list(direct.unit_columns["label"])
    comparison = compare_sorter_to_ground_truth(truth, sorting, exhaustive_gt=True)
    accuracy = comparison.get_performance(method="by_unit")["accuracy"].to_numpy(dtype=float)
    assert np.count_nonzero(accuracy > 0.8) > 5
    # The flat file was linked to and not copied; phy is told its real name.
    params = (tmp_path / "out/sorter_output/result/phy/params.py").read_text()
    assert str(recording.get_binary_description()["file_paths"][0]) in params
    assert not list((tmp_path / "out/sorter_output/recording").glob("*.raw"))
    # What SpikeInterface keeps is enough to open the sorting again.
    from spikeinterface.sorters import read_sorter_folder

    assert read_sorter_folder(tmp_path / "out").count_total_num_spikes() == len(spikes)


def test_a_changed_recording_is_copied_and_sorted_as_it_is_now(
    truth_and_recording: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import spikeinterface.preprocessing as preprocessing

    _, recording = truth_and_recording
    # Half of the channels in another order, as numbers that are not the file's.
    changed = preprocessing.scale(recording, gain=2.0, dtype="float32").select_channels(
        recording.channel_ids[16:][::-1]
    )
    fast = {"matching": {"rounds": 1, "sweeps": 0}, "motion": {"correct": False}}
    result = somata.sort(changed, tmp_path / "out", copy_to=tmp_path / "copy", device="cpu", progress=False, **fast)
    assert result.manifest["recording"]["n_channels"] == 16
    copied = np.fromfile(tmp_path / "copy/traces_cached_seg0.raw", np.float32).reshape(-1, 16)
    assert np.array_equal(copied[:1000], changed.get_traces(end_frame=1000))
    places = changed.get_channel_locations()[result.channels]
    assert np.allclose(result.channel_positions_um, places)


def test_segments_stay_segments(truth_and_recording: tuple, tmp_path: Path) -> None:
    from spikeinterface.sorters import run_sorter

    import somata.spikeinterface  # noqa: F401

    _, recording = truth_and_recording
    n_samples = recording.get_num_samples()
    parts = [recording.frame_slice(0, n_samples // 3), recording.frame_slice(n_samples // 3, n_samples)]
    recording = si.append_recordings(parts)
    sorting = run_sorter("somata", recording, folder=tmp_path / "out", device="cpu", **FAST)
    assert sorting.get_num_segments() == 2
    spikes = sorting.to_spike_vector(concatenated=False)
    assert all(len(spikes[segment]) > 0 for segment in range(2))
    for segment in range(2):
        assert spikes[segment]["sample_index"].max() < recording.get_num_samples(segment_index=segment)


def test_a_recording_without_places_and_wrong_types_are_told(truth_and_recording: tuple) -> None:
    bare = si.NumpyRecording([np.zeros((1000, 4), np.int16)], 30_000)
    with pytest.raises(somata.SomataUsageError, match="where its channels are"):
        somata.sort(bare)
    _, recording = truth_and_recording
    with pytest.raises(somata.SomataUsageError, match="beside a SpikeInterface recording"):
        somata.sort(recording, sampling_frequency_hz=30_000)


def test_a_failure_in_the_program_is_spikeinterfaces_error_with_the_sentence(
    truth_and_recording: tuple, tmp_path: Path
) -> None:
    from spikeinterface.sorters import run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    import somata.spikeinterface  # noqa: F401

    _, recording = truth_and_recording
    with pytest.raises(SpikeSortingError, match="`--memory 1MB` allows"):
        run_sorter("somata", recording, folder=tmp_path / "out", device="cpu", memory="1MB")
