"""Reads the files of a result with numpy alone: tables, label images and projections, uncompressed traces."""

from __future__ import annotations

import csv
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import SomataInputError

if TYPE_CHECKING:
    import pandas

#: A table: its columns by name, all of one length.
Columns = dict[str, npt.NDArray[Any]]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a complete result.

    Raises:
        SomataInputError: when the folder is no complete result.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SomataInputError(
            f"`{folder}` is not a complete result of somata: `manifest.json` is missing or cannot be read",
            "give the folder that was `out=` of a run that ended well",
        ) from error
    if not isinstance(manifest, dict) or "kind" not in manifest:
        raise SomataInputError(f"`{path}` is not a manifest of somata", "give the folder of a result")
    return manifest


def read_table(path: Path) -> Columns:
    """A CSV table as columns: whole numbers where all are, numbers with NaN where some are empty, else text."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        cells = list(rows)
    columns = list(zip(*cells, strict=True)) if cells else [()] * len(names)
    return {name: _column(column) for name, column in zip(names, columns, strict=True)}


def _column(texts: tuple[str, ...]) -> npt.NDArray[Any]:
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except ValueError:
        pass
    try:
        return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)
    except ValueError:
        return np.array(texts, dtype=object)


def to_frame(columns: Columns, index: str) -> pandas.DataFrame:
    """A table as a pandas data frame.

    Raises:
        ImportError: when pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "this needs pandas; the same table without it is an attribute that ends in `_columns`"
        ) from error
    frame = pandas.DataFrame(columns)
    return frame.set_index(index) if index in frame.columns else frame


def map_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an uncompressed `.npz`, mapped: nothing is read before it is used.

    Raises:
        SomataInputError: when the file is not one.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED:
                    raise SomataInputError(f"`{path}` is compressed", "read it with `numpy.load`")
                # The length of the extra field may differ between directory and local header: only the latter counts.
                file.seek(member.header_offset + 26)
                name_length, extra_length = struct.unpack("<HH", file.read(4))
                file.seek(member.header_offset + 30 + name_length + extra_length)
                arrays[member.filename.removesuffix(".npy")] = _map_array(path, file)
    except (OSError, ValueError, zipfile.BadZipFile, struct.error) as error:
        if isinstance(error, SomataInputError):
            raise
        raise SomataInputError(f"`{path}` cannot be read: {error}", "make the result again") from error
    return arrays


def _map_array(path: Path, file: Any) -> npt.NDArray[Any]:
    # Typed in some versions of numpy only.
    header: Any = np.lib.format
    version = header.read_magic(file)
    read = header.read_array_header_1_0 if version == (1, 0) else header.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if 0 in shape:
        # An empty map is refused by the system.
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape, order="F" if fortran else "C")


def read_tiff(path: Path) -> npt.NDArray[Any]:
    """All pages of a TIFF that the program wrote, [pages, height, width].

    One strip a page, not compressed or deflated, is all that it writes. Other files are for `tifffile`.

    Raises:
        SomataInputError: when the file is something else.
    """
    data = path.read_bytes()
    try:
        return np.stack([_page(data, tags) for tags in _directories(data)])
    except (struct.error, KeyError, IndexError, ValueError, zlib.error) as error:
        raise SomataInputError(
            f"`{path}` is not a TIFF as somata writes it: {error}", "read it with `tifffile`"
        ) from error


# Type numbers of TIFF 6.0 and BigTIFF that are met here: 8, 16, 32 and 64-bit whole numbers.
_TIFF_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _STRIP_BYTES, _PREDICTOR, _SAMPLE_FORMAT = (
    256,
    257,
    258,
    259,
    273,
    279,
    317,
    339,
)


def _directories(data: bytes) -> list[dict[int, tuple[int, ...]]]:
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset_code, count_code, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    offset_bytes = 8 if big else 4
    at = struct.unpack_from(order + offset_code, data, 8 if big else 4)[0]
    found: list[dict[int, tuple[int, ...]]] = []
    seen: set[int] = set()
    while at and at not in seen:
        seen.add(at)
        count = struct.unpack_from(order + count_code, data, at)[0]
        first = at + struct.calcsize(order + count_code)
        tags: dict[int, tuple[int, ...]] = {0: (order == "<",)}
        for index in range(count):
            entry = first + index * entry_bytes
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            (n,) = struct.unpack_from(order + offset_code, data, entry + 4)
            if kind not in _TIFF_TYPES:
                continue
            code = f"{order}{n}{_TIFF_TYPES[kind]}"
            value = entry + 4 + offset_bytes
            if struct.calcsize(code) > offset_bytes:
                value = struct.unpack_from(order + offset_code, data, value)[0]
            tags[tag] = struct.unpack_from(code, data, value)
        found.append(tags)
        at = struct.unpack_from(order + offset_code, data, first + count * entry_bytes)[0]
    return found


def _page(data: bytes, tags: dict[int, tuple[int, ...]]) -> npt.NDArray[Any]:
    kind = {1: "u", 2: "i", 3: "f"}[tags.get(_SAMPLE_FORMAT, (1,))[0]]
    dtype = np.dtype(f"{'<' if tags[0][0] else '>'}{kind}{tags[_BITS][0] // 8}")
    compression = tags.get(_COMPRESSION, (1,))[0]
    if compression not in (1, 8, 32946) or tags.get(_PREDICTOR, (1,))[0] != 1:
        raise ValueError(f"compression {compression} with predictor {tags.get(_PREDICTOR, (1,))[0]}")
    strips = [data[at : at + n] for at, n in zip(tags[_STRIPS], tags[_STRIP_BYTES], strict=True)]
    pixels = b"".join(zlib.decompress(strip) if compression != 1 else strip for strip in strips)
    return np.frombuffer(pixels, dtype).reshape(tags[_HEIGHT][0], tags[_WIDTH][0])
