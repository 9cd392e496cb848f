"""Finding cells, traces and spikes in a two-photon movie, and the result as arrays and tables."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._files import Columns, map_npz, read_table, read_tiff, to_frame
from ._parameters import Setting
from ._program import Progress
from ._recordings import PathLike, movie_input
from ._result import Result
from ._run import run_options, run_to_folder

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas


def image(
    movie: Any,
    out: PathLike | None = None,
    *,
    frame_rate_hz: float | None = None,
    n_planes: int | None = None,
    n_channels: int | None = None,
    functional_channel: int | None = None,
    height: int | None = None,
    width: int | None = None,
    dtype: str | None = None,
    tau_s: float | None = None,
    weights: PathLike | None = None,
    keep_movie: bool = False,
    device: str = "auto",
    threads: int | None = None,
    memory: str | None = None,
    work: PathLike | None = None,
    keep_work: bool = False,
    force: bool = False,
    params_file: PathLike | None = None,
    copy_to: PathLike | None = None,
    progress: Progress | bool | None = None,
    **parameters: Setting,
) -> ImageResult:
    """Finds cells, their traces and spikes in a two-photon movie.

    The same call on an `out` that is complete already returns its result at once; after an interruption it goes on
    where it was.

    Args:
        movie: a path (any format that `somata image` reads, or a folder of TIFF files), a list of paths in the order of
            time, or a numpy array or memory map [frames, y, x]. A memory map of a whole bare file is read where it is;
            other arrays are copied piece by piece. Several planes or channels follow each other frame by frame, channel
            fastest.
        out: folder for the result. Without it the result lies in a temporary folder and goes with the object that is
            returned; `ImageResult.keep` moves it to a place where it stays.
        frame_rate_hz: frames a second of one plane; needed where the file does not say it.
        n_planes: planes of a volume.
        n_channels: colour channels.
        functional_channel: channel in which cells are active, from 1.
        height: rows of a frame of a bare binary file, pixels.
        width: columns of a frame of a bare binary file, pixels.
        dtype: pixel type of a bare binary file, for example `int16`.
        tau_s: decay of the indicator, s; estimated where it is not given.
        weights: weights of another network (safetensors).
        keep_movie: write the registered movie as well.
        device: `auto`, `cpu`, `gpu`, a number from `somata devices`, or a part of a device's name.
        threads: processor threads; by default all, or what Slurm grants.
        memory: most memory to use, for example `"4GB"`.
        work: folder for checkpoints; beside `out` by default.
        keep_work: keep the checkpoints after success.
        force: replace a result that was made with other parameters.
        params_file: TOML file with parameters.
        copy_to: folder for a copy of the pixels, where one is needed, that is kept; by default it is temporary.
        progress: a function that gets each `Event`; True for a bar; False for none; None for a bar on a terminal and
            in notebooks.
        parameters: parameters of the stages, `segmentation={"diameter_px": 25}` or
            `**{"segmentation.diameter_px": 25}`; `somata.parameters("image")` lists them.

    Raises:
        SomataError: with the program's sentence and hint; the subclass tells what kind of thing is wrong.
    """
    facts: list[str] = []
    for option, value in (
        ("--n-planes", n_planes),
        ("--n-channels", n_channels),
        ("--functional-channel", functional_channel),
        ("--height", height),
        ("--width", width),
        ("--dtype", dtype),
        ("--tau", tau_s),
        ("--weights", None if weights is None else os.fspath(weights)),
    ):
        if value is not None:
            facts.append(f"{option}={value}")
    if keep_movie:
        facts.append("--keep-movie")
    options = run_options(
        device=device,
        threads=threads,
        memory=memory,
        work=work,
        keep_work=keep_work,
        force=force,
        params_file=params_file,
        parameters=parameters,
    )
    folder, scratch = run_to_folder(
        "image",
        lambda place: movie_input(movie, place, frame_rate_hz=frame_rate_hz, facts=facts),
        out,
        copy_to,
        options,
        progress,
    )
    result = ImageResult(folder)
    if scratch is not None:
        result._remove_with(scratch)
    return result


class ImageResult(Result):
    """The result of a movie.

    Letters in shapes: N cells of all planes, T frames of a plane, P planes, H × W height and width of a frame in
    pixels. Traces are memory maps, read when they are used.
    """

    _kind = "image"

    # -- facts

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second of one plane."""
        return float(self.manifest["movie"]["frame_rate_hz"])

    @property
    def n_planes(self) -> int:
        """Planes of the movie."""
        return int(self.manifest["movie"]["n_planes"])

    def __len__(self) -> int:
        """Number of cells, all planes."""
        return int(self.manifest["n_cells"])

    # -- cells

    @cached_property
    def cell_columns(self) -> Columns:
        """The table of cells as numpy arrays, each of length N; columns as in `cells.csv`."""
        return read_table(self.folder / "cells.csv")

    @property
    def cells(self) -> pandas.DataFrame:
        """The table of cells with places (pixels), probabilities and signal-to-noise, indexed by cell. Needs pandas."""
        return to_frame(self.cell_columns, "cell")

    @property
    def is_cell(self) -> npt.NDArray[np.bool_]:
        """[N], whether the probability of being a cell is at least 0.5."""
        return np.asarray(self.cell_columns["probability"].astype(np.float64) >= 0.5)

    # -- traces

    @cached_property
    def traces(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays of `traces.npz` by name, mapped."""
        return map_npz(self.folder / "traces.npz")

    @property
    def F(self) -> npt.NDArray[np.float32]:
        """[N, T], fluorescence over each cell's own pixels, counts."""
        return self.traces["F"]

    @property
    def Fneu(self) -> npt.NDArray[np.float32]:
        """[N, T], fluorescence of the ring around each cell, counts."""
        return self.traces["Fneu"]

    @property
    def F_corrected(self) -> npt.NDArray[np.float32]:
        """[N, T], demixed: without neuropil and other cells' light, counts."""
        return self.traces["F_corrected"]

    @property
    def dff(self) -> npt.NDArray[np.float32]:
        """[N, T], ΔF/F of the demixed trace, a ratio."""
        return self.traces["dff"]

    @property
    def denoised(self) -> npt.NDArray[np.float32]:
        """[N, T], what the spikes explain, plus the baseline, counts."""
        return self.traces["denoised"]

    @property
    def spks(self) -> npt.NDArray[np.float32]:
        """[N, T], by how much the spikes of a frame raise the trace at the response's peak, counts; mostly 0."""
        return self.traces["spikes"]

    @property
    def time_s(self) -> npt.NDArray[np.float64]:
        """[T], time of each frame, s."""
        return self.traces["time_s"]

    # -- images

    @cached_property
    def masks(self) -> npt.NDArray[Any]:
        """[P, H, W], 0 is background, k is cell k − 1."""
        return read_tiff(self.folder / "masks.tif")

    @cached_property
    def mean_image(self) -> npt.NDArray[np.float32]:
        """[P, H, W], mean of the registered frames, counts."""
        return read_tiff(self.folder / "mean.tif")

    @cached_property
    def max_image(self) -> npt.NDArray[np.float32]:
        """[P, H, W], largest activity of each pixel in the binned movie, noise deviations."""
        return read_tiff(self.folder / "max.tif")

    @cached_property
    def correlation_image(self) -> npt.NDArray[np.float32]:
        """[P, H, W], correlation of each pixel with its neighbours, −1 to 1."""
        return read_tiff(self.folder / "correlation.tif")

    @cached_property
    def variance_image(self) -> npt.NDArray[np.float32]:
        """[P, H, W], variance of each pixel, counts²."""
        return read_tiff(self.folder / "variance.tif")

    # -- motion

    @cached_property
    def motion_columns(self) -> Columns:
        """Shift and fit of every frame as numpy arrays, P × T long; columns as in `motion.csv`."""
        return read_table(self.folder / "motion.csv")

    @property
    def motion(self) -> pandas.DataFrame:
        """Shift (pixels) and fit of every frame. Needs pandas."""
        return to_frame(self.motion_columns, "")

    # -- Suite2p

    def suite2p_folder(self, plane: int = 0) -> Path:
        """The folder of a plane as Suite2p leaves it.

        Raises:
            IndexError: when there is no such plane.
        """
        if not 0 <= plane < self.n_planes:
            raise IndexError(f"there is no plane {plane}; planes are 0 to {self.n_planes - 1}")
        return self.folder / "suite2p" / f"plane{plane}"

    def suite2p(self, plane: int = 0) -> dict[str, Any]:
        """What scripts for Suite2p load: `F`, `Fneu`, `spks`, `iscell`, `stat` and `ops` of a plane.

        `stat` and `ops` are pickled, as Suite2p has them: call this only on a result that you trust.
        """
        folder = self.suite2p_folder(plane)
        loaded: dict[str, Any] = {
            name: np.load(folder / f"{name}.npy", allow_pickle=name in ("stat", "ops"))
            for name in ("F", "Fneu", "spks", "iscell", "stat", "ops")
        }
        loaded["ops"] = loaded["ops"].item()
        return loaded

    # -- elsewhere

    def plot(self) -> matplotlib.figure.Figure:
        """The mean image with the cells, and ΔF/F of some of them. Needs matplotlib."""
        from ._notebook import imaging_figure

        return imaging_figure(self)

    def __repr__(self) -> str:
        return (
            f"ImageResult({str(self.folder)!r}: {len(self)} cells in {self.n_planes} plane(s), "
            f"{self.manifest['movie']['n_frames']} frames)"
        )

    def _repr_html_(self) -> str:
        from ._notebook import imaging_html

        return imaging_html(self)
