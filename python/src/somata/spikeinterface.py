"""somata as a sorter of SpikeInterface, and the ways between the two.

    import somata.spikeinterface
    from spikeinterface.sorters import run_sorter

    sorting = run_sorter("somata", recording, folder="sorted", matching_sweeps=4)

Importing this module registers the sorter. Its parameters are the program's own (`somata params sort`), written
`stage_name`. Follows SpikeInterface 0.105.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from spikeinterface.core import NumpySorting, load, write_binary_recording
from spikeinterface.sorters import BaseSorter, sorterlist
from spikeinterface.sorters.basesorter import get_job_kwargs

from ._parameters import parameters
from ._program import Event, program, program_version
from ._recordings import _SAMPLE_TYPES, Input, probe_of_positions
from ._run import name_raw_file
from .errors import SomataInputError, SomataNotFoundError, SomataUsageError
from .sorting import SortResult, sort

if TYPE_CHECKING:
    import numpy.typing as npt

# Beside the linked recording: the user's own file.
_LINKED_TO = "linked_to.json"

__all__ = ["SomataSorter", "register", "sorting_of", "write_input"]


def write_input(recording: Any, folder: Path, *, link: bool = True, **job: Any) -> Input:
    """Writes a SpikeInterface recording as a folder that the program reads.

    Samples that lie in flat files already are linked to and not copied. What SpikeInterface knows of the channels
    (gain, offset, place, sampling skew) is taken from the recording itself, since it may have changed after loading.

    Args:
        recording: any recording with places of its channels.
        folder: where to write; made where it does not exist.
        link: link to flat files instead of copying them.
        job: SpikeInterface's job arguments for copying (`n_jobs`, `chunk_duration` …).

    Raises:
        SomataUsageError: when the recording has no places of channels.
        SomataInputError: when its samples are of a type that is not read.
    """
    dtype = np.dtype(recording.get_dtype())
    if dtype.newbyteorder("=").name not in _SAMPLE_TYPES:
        raise SomataInputError(
            f"samples of type `{dtype.name}` are not supported",
            'convert them, for example with `spikeinterface.preprocessing.astype(recording, "float32")`',
        )
    if not recording.has_probe() and recording.get_property("location") is None:
        raise SomataUsageError(
            "the recording does not say where its channels are",
            "call `recording.set_probe(…)` or `recording.set_dummy_probe_from_locations(…)` first",
        )
    n_channels = int(recording.get_num_channels())
    n_segments = int(recording.get_num_segments())
    files = [folder / f"traces_cached_seg{segment}.raw" for segment in range(n_segments)]
    properties = folder / "properties"
    properties.mkdir(parents=True, exist_ok=True)
    sources = _flat_files(recording) if link else None
    offset_bytes = 0
    stand_in = None
    if sources is not None and _link(sources[0], files):
        offset_bytes = sources[1]
        stand_in = (files[0], sources[0][0]) if n_segments == 1 else None
    else:
        quiet = {"progress_bar": False, "verbose": False, "dtype": dtype, "add_file_extension": False}
        write_binary_recording(recording, file_paths=files, **{**quiet, **job})
    starts = [float(recording.get_start_time(segment_index=segment)) for segment in range(n_segments)]
    description = {
        "file_paths": [file.name for file in files],
        "sampling_frequency": float(recording.get_sampling_frequency()),
        # Segments that all begin at 0 have no clock in common; the program then lays them end to end.
        "t_starts": starts if any(starts) else None,
        "num_channels": n_channels,
        "dtype": dtype.str,
        "channel_ids": [str(channel) for channel in recording.channel_ids],
        "time_axis": 0,
        "file_offset": offset_bytes,
    }
    (folder / "binary.json").write_text(json.dumps({"kwargs": description}, indent=2), encoding="utf-8")
    per_channel = {
        "gain_to_uV": recording.get_channel_gains(),
        "offset_to_uV": recording.get_channel_offsets(),
        "inter_sample_shift": recording.get_property("inter_sample_shift"),
    }
    for name, values in per_channel.items():
        if values is not None:
            np.save(properties / f"{name}.npy", np.asarray(values, dtype=np.float64))
    probes = {"specification": "probeinterface", "version": "0.2.21", "probes": _probes(recording)}
    (folder / "probe.json").write_text(json.dumps(probes), encoding="utf-8")
    return Input([folder], stand_in=stand_in)


def _flat_files(recording: Any) -> tuple[list[Path], int] | None:
    """The flat files, one a segment, that hold exactly the recording's samples, and their header bytes."""
    if not recording.is_binary_compatible():
        return None
    told = recording.get_binary_description()
    paths = [Path(path).absolute() for path in told["file_paths"]]
    fits = (
        told["time_axis"] == 0
        and told["num_channels"] == recording.get_num_channels()
        and np.dtype(told["dtype"]) == np.dtype(recording.get_dtype())
        and len(paths) == recording.get_num_segments()
    )
    row_bytes = recording.get_num_channels() * np.dtype(recording.get_dtype()).itemsize
    for segment, path in enumerate(paths):
        samples_bytes = recording.get_num_samples(segment_index=segment) * row_bytes
        fits = fits and path.is_file() and path.stat().st_size == told["file_offset"] + samples_bytes
    return (paths, int(told["file_offset"])) if fits else None


def _link(sources: list[Path], links: list[Path]) -> bool:
    try:
        for source, link in zip(sources, links, strict=True):
            link.unlink(missing_ok=True)
            os.symlink(source, link)
    except OSError:
        # A system or file system without links: the samples are copied instead.
        for link in links:
            link.unlink(missing_ok=True)
        return False
    return True


def _probes(recording: Any) -> list[dict[str, Any]]:
    """Places of the channels in their own order, one description a probe, with shanks where they are told."""
    places: npt.NDArray[np.float64] = np.asarray(recording.get_channel_locations(), dtype=np.float64)[:, :2]
    shanks = np.full(len(places), "", dtype=object)
    owners = np.zeros(len(places), dtype=np.int64)
    if recording.has_probe():
        contacts = recording.get_probegroup().to_numpy(complete=True)
        contacts = contacts[contacts["device_channel_indices"] >= 0]
        contacts = contacts[np.argsort(contacts["device_channel_indices"], kind="stable")]
        # The order of contacts has changed between versions: it is trusted only where the places agree.
        if len(contacts) == len(places) and np.allclose(np.c_[contacts["x"], contacts["y"]], places):
            if "shank_ids" in (contacts.dtype.names or ()):
                shanks[:] = contacts["shank_ids"]
            owners = np.asarray(contacts["probe_index"], dtype=np.int64)
    found = []
    for owner in np.unique(owners):
        channels = np.flatnonzero(owners == owner)
        probe = probe_of_positions(places[channels], len(channels))
        probe["device_channel_indices"] = channels.tolist()
        probe["contact_ids"] = [str(channel) for channel in channels]
        probe["shank_ids"] = [str(shank) for shank in shanks[channels]]
        found.append(probe)
    return found


def sorting_of(result: SortResult) -> NumpySorting:
    """The units of a result, a segment for each stretch without pause, with the table of units as properties."""
    samples = np.asarray(result.spike_samples)
    units = np.asarray(result.spike_units)
    segments = result.segment_columns
    starts = np.zeros(1, dtype=np.int64) if segments is None else segments["start_sample"]
    edges = np.append(np.searchsorted(samples, starts), len(samples))
    parts = [slice(first, last) for first, last in pairwise(edges)]
    sorting = NumpySorting.from_samples_and_labels(
        [samples[part] - start for part, start in zip(parts, starts, strict=True)],
        [units[part] for part in parts],
        result.sampling_frequency_hz,
        unit_ids=np.asarray(result.unit_ids),
    )
    for name, column in result.unit_columns.items():
        if name != "unit_id" and len(column):
            sorting.set_property(name, column.astype(str) if column.dtype == object else column)
    return sorting


class SomataSorter(BaseSorter):  # type: ignore[misc]  # SpikeInterface is not typed
    """somata as SpikeInterface wants a sorter: class methods that work on a folder."""

    sorter_name = "somata"
    requires_locations = True
    gpu_capability = "nvidia-optional"
    requires_binary_data = True
    handle_multi_segment = True
    compatible_with_parallel: ClassVar[dict[str, bool]] = {"loky": True, "multiprocessing": True, "threading": True}
    sorter_description = (
        "somata finds spikes with templates learned from the recording, clusters them, resolves overlaps by template "
        "matching and labels the units. It follows drift, and runs on any graphics card or on the processor."
    )
    installation_mesg = "\nInstall the wheel of somata, or put the program `somata` on PATH.\n"

    #: What the run itself takes, beside the parameters of the stages.
    _run_params: ClassVar[dict[str, tuple[Any, str]]] = {
        "device": ("auto", "auto, cpu, gpu, a number from `somata devices`, or a part of a device's name"),
        "threads": (None, "Processor threads; None for all, or what Slurm grants"),
        "memory": (None, "Most memory to use, for example '4GB'"),
        "link_recording": (True, "Link to flat files instead of copying them"),
        "delete_recording": (True, "Delete the copy of the samples after sorting"),
    }

    @classmethod
    def is_installed(cls) -> bool:
        """Whether the program is found."""
        try:
            program()
        except SomataNotFoundError:
            return False
        return True

    @classmethod
    def get_sorter_version(cls) -> str:
        """Version of the program."""
        return program_version()

    @classmethod
    def _dynamic_params(cls) -> tuple[dict[str, Any], dict[str, str]]:
        defaults = {name: default for name, (default, _) in cls._run_params.items()}
        descriptions = {name: text for name, (_, text) in cls._run_params.items()}
        for parameter in parameters("sort").values():
            name = parameter.name.replace(".", "_")
            defaults[name] = parameter.default
            unit = f" ({parameter.unit})" if parameter.unit else ""
            descriptions[name] = parameter.help.rstrip(".") + unit
        return defaults, descriptions

    @classmethod
    def _check_apply_filter_in_params(cls, params: Mapping[str, Any]) -> bool:
        return True

    @classmethod
    def _check_params(cls, recording: Any, output_folder: Any, params: dict[str, Any]) -> dict[str, Any]:
        return params

    @classmethod
    def _setup_recording(
        cls, recording: Any, sorter_output_folder: Path, params: dict[str, Any], verbose: bool
    ) -> None:
        job = {name: value for name, value in get_job_kwargs(params, verbose).items() if value is not None}
        source = write_input(recording, sorter_output_folder / "recording", link=params["link_recording"], **job)
        if source.stand_in is not None:
            (sorter_output_folder / _LINKED_TO).write_text(json.dumps(str(source.stand_in[1])), encoding="utf-8")

    @classmethod
    def _run_from_folder(cls, sorter_output_folder: Path, params: dict[str, Any], verbose: bool) -> None:
        folder = Path(sorter_output_folder)
        stages = {
            parameter.name: params[parameter.name.replace(".", "_")]
            for parameter in parameters("sort").values()
            if params[parameter.name.replace(".", "_")] != parameter.default
        }
        lines: list[str] = []

        def show(event: Event) -> None:
            if event.kind == "warning":
                lines.append(f"warning: {event.message}")
            elif event.kind == "stage_done":
                lines.append(f"{event.stage:<22} {event.seconds:.1f} s")
            else:
                return
            if verbose:
                print(lines[-1])

        try:
            result = sort(
                folder / "recording",
                folder / "result",
                device=params["device"],
                threads=params["threads"],
                memory=params["memory"],
                progress=show,
                **stages,
            )
        finally:
            # SpikeInterface takes this file into its own log.
            (folder / "somata.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
        sorting_of(result).save(folder=folder / "sorting", format="numpy_folder")
        linked = folder / _LINKED_TO
        if linked.is_file():
            target = Path(json.loads(linked.read_text(encoding="utf-8")))
            name_raw_file(result.folder / "phy" / "params.py", folder / "recording", target)
        if params["delete_recording"]:
            name_raw_file(result.folder / "phy" / "params.py", folder / "recording", None)
            for file in (folder / "recording").glob("traces_cached_seg*.raw"):
                file.unlink()

    @classmethod
    def _get_result_from_folder(cls, sorter_output_folder: Path) -> Any:
        return load(Path(sorter_output_folder) / "sorting")


def register() -> None:
    """Makes the sorter known under the name `somata`; done on import."""
    if "somata" not in sorterlist.sorter_dict:
        sorterlist.sorter_full_list.append(SomataSorter)
        sorterlist.sorter_dict["somata"] = SomataSorter


register()
