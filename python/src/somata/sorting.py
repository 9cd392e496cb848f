"""Sorting a recording, and the result as arrays and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._files import Columns, read_table, to_frame
from ._parameters import Setting
from ._program import Progress
from ._recordings import PathLike, recording_input
from ._result import Result
from ._run import run_options, run_to_folder

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas


def sort(
    recording: Any,
    out: PathLike | None = None,
    *,
    sampling_frequency_hz: float | None = None,
    positions_um: npt.ArrayLike | None = None,
    probe: Any = None,
    gain_uv: float | None = None,
    offset_uv: float | None = None,
    n_channels: int | None = None,
    dtype: str | None = None,
    offset_bytes: int | None = None,
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
) -> SortResult:
    """Sorts a raw recording into units.

    The same call on an `out` that is complete already returns its result at once; after an interruption it goes on
    where it was.

    Args:
        recording: a path (any format that `somata sort` reads), a numpy array or memory map [samples, channels], or a
            SpikeInterface recording. A memory map of a whole file and a SpikeInterface recording that lies in flat
            files are read where they are; others are copied piece by piece.
        out: folder for the result. Without it the result lies in a temporary folder and goes with the object that is
            returned; `SortResult.keep` moves it to a place where it stays.
        sampling_frequency_hz: samples a second; needed for an array or a bare binary file.
        positions_um: [channels, 2], x (across the probe) and y (along it) of each channel, µm.
        probe: path of a probe file, or a `Probe` or `ProbeGroup` of probeinterface, instead of `positions_um`.
        gain_uv: µV of one step of the samples; 1 where neither this nor the file says it.
        offset_uv: µV of sample value 0.
        n_channels: channels of a bare binary file.
        dtype: sample type of a bare binary file: `int16`, `uint16`, `int32` or `float32`.
        offset_bytes: header bytes of a bare binary file.
        device: `auto`, `cpu`, `gpu`, a number from `somata devices`, or a part of a device's name.
        threads: processor threads; by default all, or what Slurm grants.
        memory: most memory to use, for example `"4GB"`.
        work: folder for checkpoints; beside `out` by default.
        keep_work: keep the checkpoints after success.
        force: replace a result that was made with other parameters.
        params_file: TOML file with parameters.
        copy_to: folder for a copy of the samples, where one is needed, that is kept. By default it is temporary, and
            phy then has no raw traces to show.
        progress: a function that gets each `Event`; True for a bar; False for none; None for a bar on a terminal and
            in notebooks.
        parameters: parameters of the stages, `matching={"sweeps": 4}` or `**{"matching.sweeps": 4}`;
            `somata.parameters("sort")` lists them.

    Raises:
        SomataError: with the program's sentence and hint; the subclass tells what kind of thing is wrong.
    """
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
    for option, value in (("--n-channels", n_channels), ("--dtype", dtype), ("--offset-bytes", offset_bytes)):
        if value is not None:
            options += [option, str(value)]
    folder, scratch = run_to_folder(
        "sort",
        lambda place: recording_input(
            recording,
            place,
            sampling_frequency_hz=sampling_frequency_hz,
            positions_um=positions_um,
            probe=probe,
            gain_uv=gain_uv,
            offset_uv=offset_uv,
        ),
        out,
        copy_to,
        options,
        progress,
    )
    result = SortResult(folder)
    if scratch is not None:
        result._remove_with(scratch)
    return result


@dataclass(frozen=True)
class Motion:
    """Displacement of the tissue along the probe over time.

    Attributes:
        time_s: [bins], centre of each time bin, s.
        depth_um: [windows], centre of each depth window, µm.
        displacement_um: [bins, windows], µm; positive is towards larger y.
    """

    time_s: npt.NDArray[np.float64]
    depth_um: npt.NDArray[np.float64]
    displacement_um: npt.NDArray[np.float64]


class SortResult(Result):
    """The result of a sort.

    Letters in shapes: U units, N spikes, C sorted channels (those of the recording less the bad ones), T samples of a
    template. Large arrays are memory maps, read when they are used.
    """

    _kind = "sort"

    # -- facts

    @property
    def sampling_frequency_hz(self) -> float:
        """Samples a second."""
        return float(self.manifest["recording"]["sampling_frequency_hz"])

    @property
    def duration_s(self) -> float:
        """Length of the recording, s."""
        return float(self.manifest["recording"]["duration_s"])

    @property
    def n_samples(self) -> int:
        """Samples of the recording, all segments joined."""
        return int(self.manifest["recording"]["n_samples"])

    @property
    def bad_channels(self) -> dict[int, str]:
        """Channels of the recording that were left out, and why (`dead` or `noisy`)."""
        return {int(one["channel"]): str(one["reason"]) for one in self.manifest["bad_channels"]}

    # -- units

    @cached_property
    def unit_columns(self) -> Columns:
        """The table of units as numpy arrays, each of length U; columns as in `metrics.csv`."""
        return read_table(self.folder / "metrics.csv")

    @property
    def units(self) -> pandas.DataFrame:
        """The table of units with labels, positions (µm) and quality metrics, indexed by unit id. Needs pandas."""
        return to_frame(self.unit_columns, "unit_id")

    @property
    def unit_ids(self) -> npt.NDArray[np.int64]:
        """[U], ids of the units, by depth."""
        return self.unit_columns["unit_id"]

    @property
    def good_unit_ids(self) -> npt.NDArray[np.int64]:
        """Ids of the units that are labelled `good`."""
        return self.unit_ids[self.unit_columns["label"] == "good"] if len(self.unit_ids) else self.unit_ids

    def __len__(self) -> int:
        """Number of units."""
        return len(self.unit_ids)

    # -- spikes

    @cached_property
    def spike_samples(self) -> npt.NDArray[np.int64]:
        """[N], trough of each spike in samples from the start of the recording (pauses not counted), in order."""
        return self._phy("spike_times")

    @cached_property
    def spike_units(self) -> npt.NDArray[np.int32]:
        """[N], unit of each spike, as sorted."""
        return self._phy("spike_templates")

    @property
    def spike_clusters(self) -> npt.NDArray[np.int32]:
        """[N], unit of each spike as phy left it: the same as `spike_units` until somebody curates."""
        return self._phy("spike_clusters")

    @cached_property
    def spike_amplitudes(self) -> npt.NDArray[np.float64]:
        """[N], size of each spike in multiples of its unit's template."""
        return self._phy("amplitudes")

    @cached_property
    def spike_positions_um(self) -> npt.NDArray[np.float32]:
        """[N, 2], x and y of each spike, µm, with the motion taken off."""
        return self._phy("spike_positions")

    @cached_property
    def spike_times_s(self) -> npt.NDArray[np.float64]:
        """[N], time of each spike, s; on the acquisition's clock where the recording has pauses."""
        samples = np.asarray(self.spike_samples)
        starts = self.segment_columns
        if starts is None:
            return samples / self.sampling_frequency_hz
        segment = np.searchsorted(starts["start_sample"], samples, side="right") - 1
        within = (samples - starts["start_sample"][segment]) / self.sampling_frequency_hz
        return np.asarray(starts["start_time_s"][segment] + within)

    @cached_property
    def _spikes_by_unit(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        # Stable, so that the spikes of a unit stay in the order of time.
        order = np.argsort(self.spike_units, kind="stable")
        return order, np.searchsorted(self.spike_units[order], np.arange(len(self) + 1))

    def spikes_of(self, unit: int) -> npt.NDArray[np.intp]:
        """Which spikes (indices into the arrays of length N) are of a unit, in order of time.

        Raises:
            KeyError: when there is no such unit.
        """
        if not 0 <= unit < len(self):
            raise KeyError(f"there is no unit {unit}; ids are 0 to {len(self) - 1}")
        order, edges = self._spikes_by_unit
        return order[edges[unit] : edges[unit + 1]]

    def spike_train_s(self, unit: int) -> npt.NDArray[np.float64]:
        """Times of the spikes of a unit, s."""
        return self.spike_times_s[self.spikes_of(unit)]

    def spike_train_samples(self, unit: int) -> npt.NDArray[np.int64]:
        """Times of the spikes of a unit, samples."""
        return np.asarray(self.spike_samples)[self.spikes_of(unit)]

    @cached_property
    def segment_columns(self) -> Columns | None:
        """Stretches without pause: `start_sample`, `n_samples`, `start_time_s`; None where there is only one."""
        path = self.folder / "segments.csv"
        return read_table(path) if path.exists() else None

    # -- templates and channels

    @cached_property
    def templates(self) -> npt.NDArray[np.float32]:
        """[U, T, C], whitened templates in noise deviations, at rest."""
        return self._phy("templates")

    @cached_property
    def templates_uv(self) -> npt.NDArray[np.float32]:
        """[U, T, C], templates after filter and reference, before whitening, µV."""
        return self._phy("templates_uv")

    @cached_property
    def templates_sd_uv(self) -> npt.NDArray[np.float32]:
        """[U, T, C], standard deviation of the waveforms of each unit, µV; NaN on channels far away."""
        return self._phy("templates_sd_uv")

    @cached_property
    def template_similarity(self) -> npt.NDArray[np.float32]:
        """[U, U], cosine of each pair of templates."""
        return self._phy("similar_templates")

    @cached_property
    def channels(self) -> npt.NDArray[np.int32]:
        """[C], column of the raw recording of each sorted channel."""
        return self._phy("channel_map")

    @cached_property
    def channel_positions_um(self) -> npt.NDArray[np.float32]:
        """[C, 2], x and y of each sorted channel, µm."""
        return self._phy("channel_positions")

    # -- motion

    @cached_property
    def motion(self) -> Motion | None:
        """The estimated motion; None where none was estimated."""
        path = self.folder / "motion.csv"
        if not path.exists():
            return None
        columns = read_table(path)
        name = re.compile(r"displacement_um_at_(.+)_um")
        windows = {float(found[1]): columns[column] for column in columns if (found := name.fullmatch(column))}
        displacement = np.stack(list(windows.values()), axis=1) if windows else np.empty((len(columns["time_s"]), 0))
        return Motion(columns["time_s"].astype(np.float64), np.array(list(windows)), displacement.astype(np.float64))

    # -- elsewhere

    def to_spikeinterface(self) -> Any:
        """The units as SpikeInterface's `NumpySorting`, with labels and metrics as properties. Needs SpikeInterface."""
        from .spikeinterface import sorting_of

        return sorting_of(self)

    def plot(self) -> matplotlib.figure.Figure:
        """Spikes over time and depth with the motion, and templates of some units. Needs matplotlib."""
        from ._notebook import sorting_figure

        return sorting_figure(self)

    def __repr__(self) -> str:
        return (
            f"SortResult({str(self.folder)!r}: {self.manifest['n_units']} units ({self.manifest['n_good']} good), "
            f"{self.manifest['n_spikes']} spikes)"
        )

    def _repr_html_(self) -> str:
        from ._notebook import sorting_html

        return sorting_html(self)

    def _phy(self, name: str) -> npt.NDArray[Any]:
        path = Path(self.folder, "phy", f"{name}.npy")
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r") if path.stat().st_size > 4096 else np.load(path)
        return array
