"""Movies from paths and arrays, and the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import somata


def test_the_cells_are_those_of_the_truth(imaged_folder: Path, movie_folder: Path) -> None:
    result = somata.load(imaged_folder)
    assert isinstance(result, somata.ImageResult)
    (scores,) = somata.validate(result, movie_folder)
    # The small movie is an easy one; the program's own floor for it is higher.
    assert scores["f1_active"] > 0.7


def test_traces_equal_those_that_numpy_loads_and_are_not_read_at_once(imaged_folder: Path) -> None:
    result = somata.ImageResult(imaged_folder)
    with np.load(imaged_folder / "traces.npz") as loaded:
        assert set(loaded.files) == set(result.traces)
        for name in loaded.files:
            assert isinstance(result.traces[name], np.memmap)
            assert np.array_equal(result.traces[name], loaded[name])
    assert result.F.shape == result.Fneu.shape == result.spks.shape == (len(result), 300)
    assert result.time_s[1] == pytest.approx(1 / 30)


def test_label_image_and_projections_equal_those_that_tifffile_reads(imaged_folder: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    result = somata.ImageResult(imaged_folder)
    images = {
        "masks": result.masks,
        "mean": result.mean_image,
        "max": result.max_image,
        "correlation": result.correlation_image,
        "variance": result.variance_image,
    }
    for name, image in images.items():
        expected = tifffile.imread(imaged_folder / f"{name}.tif")
        assert image.dtype == expected.dtype
        assert np.array_equal(image, expected.reshape(image.shape))


def test_every_cell_has_its_label_in_the_mask(imaged_folder: Path) -> None:
    result = somata.ImageResult(imaged_folder)
    assert result.masks.shape == (1, 128, 128)
    labels = np.unique(result.masks)
    assert labels[0] == 0 and labels[-1] == len(result) == len(result.cell_columns["cell"])
    assert result.is_cell.dtype == bool and result.is_cell.any()


def test_suite2p_folder_agrees_with_the_traces(imaged_folder: Path) -> None:
    result = somata.ImageResult(imaged_folder)
    plane = result.suite2p()
    assert np.array_equal(plane["F"], result.F)
    assert np.array_equal(plane["spks"], result.spks)
    assert len(plane["stat"]) == len(result)
    assert plane["ops"]["Ly"] == 128
    with pytest.raises(IndexError, match="no plane 1"):
        result.suite2p(1)


def test_an_array_gives_the_same_traces_as_the_file(movie_folder: Path, imaged_folder: Path, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    frames = tifffile.imread(movie_folder / "movie.tif")
    assert frames.shape == (300, 128, 128)
    result = somata.image(frames, tmp_path / "array", frame_rate_hz=30, device="cpu", progress=False)
    expected = somata.ImageResult(imaged_folder)
    assert np.array_equal(result.F, expected.F) and np.array_equal(result.masks, expected.masks)
    # A map of a bare file is read where it is.
    path = tmp_path / "frames.bin"
    frames.tofile(path)
    mapped = np.memmap(path, frames.dtype, mode="r", shape=frames.shape)
    again = somata.image(mapped, tmp_path / "map", frame_rate_hz=30, device="cpu", progress=False)
    assert np.array_equal(again.F, expected.F)
    assert again.manifest["inputs"][0]["path"] == str(path)


def test_the_cells_are_a_pandas_table(imaged_folder: Path) -> None:
    pytest.importorskip("pandas")
    result = somata.ImageResult(imaged_folder)
    assert len(result.cells) == len(result)
    assert set(result.cells["found_by"]) <= {"network", "activity", "stillness"}
    assert len(result.motion) == 300


@pytest.mark.parametrize(
    ("movie", "facts", "sentence"),
    [
        (np.zeros((4, 8, 8), np.int16), {}, "frame rate"),
        (np.zeros((8, 8), np.int16), {"frame_rate_hz": 30}, "has 2 axes"),
        (np.zeros((4, 8, 8), bool), {"frame_rate_hz": 30}, "`bool`"),
        (3, {}, "cannot be a `int`"),
    ],
)
def test_a_movie_that_does_not_fit_is_told_in_one_sentence(movie: object, facts: dict, sentence: str) -> None:
    with pytest.raises(somata.SomataError, match=sentence) as caught:
        somata.image(movie, **facts)
    assert caught.value.hint


def test_what_the_file_does_not_say_is_asked_for(movie_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(somata.SomataInputError, match="frame rate") as caught:
        somata.image(movie_folder / "movie.tif", tmp_path / "out", progress=False)
    assert "--frame-rate" in caught.value.hint


def test_a_notebook_shows_facts_table_and_figure(imaged_folder: Path) -> None:
    result = somata.ImageResult(imaged_folder)
    shown = result._repr_html_()
    assert f"of {len(result)} regions" in shown and "<th>trace_snr</th>" in shown
    assert len(shown) < 250_000
