"""From what a user has (a path, an array, a SpikeInterface recording) to something that the program reads.

Samples are copied only where there is no other way: a memory map of a whole file and a recording that SpikeInterface
describes as flat files are read where they are. Copies are written in pieces, so that memory does not grow with length.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import SomataInputError, SomataOutputError, SomataUsageError

PathLike = str | os.PathLike[str]

#: Sample types that the program reads. It turns 8-bit integers into int16, float64 into float32.
_SAMPLE_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "float32", "float64")
#: Pixel types that the program reads.
_PIXEL_TYPES = (*_SAMPLE_TYPES, "uint32")

# Bytes that are copied at a time.
_PIECE_BYTES = 64 << 20


@dataclass
class Input:
    """What the program is given: `paths` and the options that say what is in them."""

    paths: list[Path]
    options: list[str] = field(default_factory=list)
    #: A stand-in for the user's own flat file, and that file: the result should name the latter.
    stand_in: tuple[Path, Path] | None = None


def recording_input(
    recording: Any,
    folder: Path,
    *,
    sampling_frequency_hz: float | None,
    positions_um: npt.ArrayLike | None,
    probe: Any,
    gain_uv: float | None,
    offset_uv: float | None,
    job: dict[str, Any] | None = None,
) -> Input:
    """Makes `recording` readable; files that this takes are written to `folder`, which need not exist.

    Raises:
        SomataUsageError: when something is missing or does not fit.
        SomataInputError: when the samples are of a kind that is not read.
    """
    if isinstance(recording, (str, os.PathLike)):
        source = Path(recording)
        options = _facts(sampling_frequency_hz=sampling_frequency_hz, gain_uv=gain_uv, offset_uv=offset_uv)
        if positions_um is not None or probe is not None:
            options += ["--probe", str(_probe_file(folder, positions_um, probe, None))]
        return Input([source], options)
    if isinstance(recording, np.ndarray):
        if sampling_frequency_hz is None:
            raise SomataUsageError("an array does not say its sampling frequency", "give `sampling_frequency_hz=`")
        return _recording_array(recording, folder, sampling_frequency_hz, positions_um, probe, gain_uv, offset_uv)
    if hasattr(recording, "get_num_channels") and hasattr(recording, "get_traces"):
        told: dict[str, Any] = {
            "sampling_frequency_hz": sampling_frequency_hz,
            "gain_uv": gain_uv,
            "offset_uv": offset_uv,
        }
        told |= {"positions_um": positions_um, "probe": probe}
        if wrong := [name for name, value in told.items() if value is not None]:
            raise SomataUsageError(
                f"`{wrong[0]}` was given beside a SpikeInterface recording, which says it itself",
                "set it on the recording, for example with `set_probe` or `set_channel_gains`",
            )
        from .spikeinterface import write_input

        return write_input(recording, folder, **(job or {}))
    raise SomataUsageError(
        f"a recording cannot be a `{type(recording).__name__}`",
        "give a path, a numpy array [samples, channels] or a SpikeInterface recording",
    )


def _recording_array(
    samples: npt.NDArray[Any],
    folder: Path,
    sampling_frequency_hz: float,
    positions_um: npt.ArrayLike | None,
    probe: Any,
    gain_uv: float | None,
    offset_uv: float | None,
) -> Input:
    if samples.ndim != 2:
        raise SomataUsageError(
            f"a recording of shape {samples.shape} has {samples.ndim} axes", "give an array [samples, channels]"
        )
    n_samples, n_channels = samples.shape
    if n_channels > n_samples:
        raise SomataUsageError(
            f"a recording of {n_samples} samples and {n_channels} channels may be turned round",
            "give an array [samples, channels]; `array.T` exchanges the axes without a copy",
        )
    dtype = _supported(samples.dtype, _SAMPLE_TYPES, "samples")
    if positions_um is None and probe is None:
        raise SomataUsageError(
            "an array does not say where its channels are",
            "give `positions_um=`, [channels, 2] in µm (x across the probe, y along it), or `probe=`",
        )
    probe_path = _probe_file(folder, positions_um, probe, n_channels)
    in_place = _whole_file(samples)
    facts = _facts(sampling_frequency_hz=sampling_frequency_hz, gain_uv=gain_uv, offset_uv=offset_uv)
    if in_place is not None:
        path, offset_bytes = in_place
        options = [*facts, "--n-channels", str(n_channels), "--dtype", samples.dtype.str.lstrip("|")]
        options += ["--offset-bytes", str(offset_bytes), "--probe", str(probe_path)]
        return Input([path], options)
    description: dict[str, Any] = {
        "sampling_frequency": sampling_frequency_hz,
        "n_channels": n_channels,
        "dtype": dtype,
        "n_samples": n_samples,
    }
    description |= {} if gain_uv is None else {"gain_uv": gain_uv}
    description |= {} if offset_uv is None else {"offset_uv": offset_uv}
    _write_pieces(folder / "recording.bin", samples, dtype)
    (folder / "recording.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
    # Named also where it lies in the folder: a path of the user's stays where it is.
    return Input([folder], ["--probe", str(probe_path)])


def movie_input(movie: Any, folder: Path, *, frame_rate_hz: float | None, facts: Sequence[str]) -> Input:
    """Makes `movie` readable: a path or several in the order of time, or an array [frames, y, x].

    Raises:
        SomataUsageError: when something is missing or does not fit.
        SomataInputError: when the pixels are of a kind that is not read.
    """
    options = [*_facts(frame_rate_hz=frame_rate_hz), *facts]
    if isinstance(movie, (str, os.PathLike)):
        return Input([Path(movie)], options)
    if isinstance(movie, np.ndarray):
        return _movie_array(movie, folder, frame_rate_hz, options)
    if isinstance(movie, Sequence) and movie and all(isinstance(path, (str, os.PathLike)) for path in movie):
        return Input([Path(path) for path in movie], options)
    raise SomataUsageError(
        f"a movie cannot be a `{type(movie).__name__}`",
        "give a path, a list of paths in the order of time, or a numpy array [frames, y, x]",
    )


def _movie_array(pixels: npt.NDArray[Any], folder: Path, frame_rate_hz: float | None, options: list[str]) -> Input:
    if pixels.ndim != 3:
        raise SomataUsageError(
            f"a movie of shape {pixels.shape} has {pixels.ndim} axes",
            "give an array [frames, y, x]; frames of several planes or channels follow each other, "
            "with `n_planes=` or `n_channels=`",
        )
    if frame_rate_hz is None:
        raise SomataUsageError("an array does not say its frame rate", "give `frame_rate_hz=` (of one plane)")
    dtype = _supported(pixels.dtype, _PIXEL_TYPES, "pixels")
    options = [*options, "--height", str(pixels.shape[1]), "--width", str(pixels.shape[2])]
    in_place = _whole_file(pixels)
    # The bare movie reader knows no header.
    if in_place is not None and in_place[1] == 0 and in_place[0].suffix.lower() in (".bin", ".raw", ".dat"):
        return Input([in_place[0]], [*options, "--dtype", pixels.dtype.str.lstrip("|")])
    path = folder / "movie.bin"
    _write_pieces(path, pixels, dtype)
    return Input([path], [*options, "--dtype", dtype])


def _supported(dtype: np.dtype[Any], names: tuple[str, ...], what: str) -> str:
    name = dtype.newbyteorder("=").name
    if name not in names:
        raise SomataInputError(
            f"{what} of type `{dtype.name}` are not supported", f"convert them to one of {', '.join(names)}"
        )
    return name


def _whole_file(array: npt.NDArray[Any]) -> tuple[Path, int] | None:
    """Path and header bytes of the file that `array` is, when it is exactly the rest of one, unchanged."""
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        return None
    # A view of a map keeps the map's `offset` and `filename`, which then may not be its own. Another shape of the whole
    # map (its base) is the same file; a slice is not.
    base = array.base
    if isinstance(base, np.memmap) and base.nbytes == array.nbytes and base.flags.c_contiguous:
        base = base.base
    if not isinstance(base, mmap.mmap) or array.filename is None or array.mode == "c":
        return None
    path = Path(array.filename)
    array.flush()
    whole = path.is_file() and path.stat().st_size == array.offset + array.nbytes
    return (path, int(array.offset)) if whole else None


def _write_pieces(path: Path, array: npt.NDArray[Any], dtype: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in _pieces(array):
                file.write(np.ascontiguousarray(piece, dtype=dtype).data)
    except OSError as error:
        raise SomataOutputError(
            f"could not write `{path}`: {error.strerror or error}", "give another folder with `copy_to=`"
        ) from error


def _pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    row_bytes = max(1, array[:1].nbytes)
    step = max(1, _PIECE_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _facts(**named: float | None) -> list[str]:
    options = {
        "sampling_frequency_hz": "--sampling-frequency",
        "gain_uv": "--gain-uv",
        "offset_uv": "--offset-uv",
        "frame_rate_hz": "--frame-rate",
    }
    # `=` keeps a negative number from being taken for an option.
    return [f"{options[name]}={float(value)!r}" for name, value in named.items() if value is not None]


def _probe_file(folder: Path, positions_um: npt.ArrayLike | None, probe: Any, n_channels: int | None) -> Path:
    """A probe file for what was given; a path stays where it is."""
    if positions_um is not None and probe is not None:
        raise SomataUsageError("`positions_um` and `probe` were both given", "give one of them")
    if isinstance(probe, (str, os.PathLike)):
        return Path(probe)
    if probe is not None:
        groups = getattr(probe, "probes", [probe])
        if not all(hasattr(one, "to_dict") for one in groups):
            raise SomataUsageError(
                f"a probe cannot be a `{type(probe).__name__}`",
                "give the path of a probe file, or a Probe or ProbeGroup of probeinterface",
            )
        described = [one.to_dict(array_as_list=True) for one in groups]
        if any(one.get("device_channel_indices") is None for one in described):
            raise SomataUsageError(
                "the probe does not say which contact is which channel",
                "call `probe.set_device_channel_indices(…)` first",
            )
    else:
        described = [probe_of_positions(np.asarray(positions_um, dtype=np.float64), n_channels)]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "probe.json"
    text = {"specification": "probeinterface", "version": "0.2.21", "probes": described}
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def probe_of_positions(positions_um: npt.NDArray[np.float64], n_channels: int | None) -> dict[str, Any]:
    """probeinterface's description of contacts at `positions_um`, [channels, 2] µm, wired in order."""
    expected = "[channels, 2]" if n_channels is None else f"[{n_channels}, 2]"
    if positions_um.ndim != 2 or positions_um.shape[1] != 2 or n_channels not in (None, len(positions_um)):
        raise SomataUsageError(
            f"`positions_um` has shape {positions_um.shape}, not {expected}",
            "give x (across the probe) and y (along it) of each channel, in µm",
        )
    n = len(positions_um)
    return {
        "ndim": 2,
        "si_units": "um",
        "annotations": {},
        "contact_annotations": {},
        "contact_positions": positions_um.tolist(),
        "contact_plane_axes": [[[1.0, 0.0], [0.0, 1.0]]] * n,
        "contact_shapes": ["circle"] * n,
        "contact_shape_params": [{"radius": 6.0}] * n,
        "device_channel_indices": list(range(n)),
        "contact_ids": [str(index) for index in range(n)],
        "shank_ids": [""] * n,
    }
