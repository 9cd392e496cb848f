"""somata: raw neural recordings into neurons.

    import somata

    result = somata.sort("recording", "sorted")      # a path, a numpy array or a SpikeInterface recording
    result.units                                     # labels and quality metrics, a pandas table
    result.spike_train_s(3)                          # spike times of unit 3, seconds

    result = somata.image("movie.tif", "imaged", frame_rate_hz=30)
    result.cells, result.dff, result.spks, result.masks

`import somata.spikeinterface` makes `run_sorter("somata", …)` work. The work is done by the program `somata`, which is
in the wheel; `somata.program()` says where.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import errors
from ._files import read_manifest
from ._parameters import Parameter, parameters
from ._program import Event, program, program_version, run, run_json
from ._progress import SomataWarning
from .errors import (
    SomataBug,
    SomataDeviceError,
    SomataError,
    SomataInputError,
    SomataMemoryError,
    SomataNotFoundError,
    SomataOutputError,
    SomataStopped,
    SomataUsageError,
)
from .imaging import ImageResult, image
from .sorting import Motion, SortResult, sort

__version__ = "0.1.0"

__all__ = [
    "Event",
    "ImageResult",
    "Motion",
    "Parameter",
    "SomataBug",
    "SomataDeviceError",
    "SomataError",
    "SomataInputError",
    "SomataMemoryError",
    "SomataNotFoundError",
    "SomataOutputError",
    "SomataStopped",
    "SomataUsageError",
    "SomataWarning",
    "SortResult",
    "errors",
    "image",
    "load",
    "parameters",
    "program",
    "program_version",
    "run",
    "sort",
    "validate",
]


def load(folder: str | os.PathLike[str]) -> SortResult | ImageResult:
    """Opens a result of `sort` or `image`.

    Raises:
        SomataInputError: when the folder holds neither.
    """
    kind = read_manifest(Path(folder))["kind"]
    if kind == "sort":
        return SortResult(Path(folder))
    if kind == "image":
        return ImageResult(Path(folder))
    raise SomataInputError(
        f"`{os.fspath(folder)}` is a result of `somata {kind}`", "only results of `sort` and `image` are opened here"
    )


def validate(result: Any, truth: str | os.PathLike[str]) -> Any:
    """Scores a result against the truth of simulated data: what `somata validate RESULT TRUTH --json` prints.

    Args:
        result: a `SortResult`, an `ImageResult`, or the path of one.
        truth: a simulated recording or movie, or its `truth.npz`.
    """
    return run_json("validate", getattr(result, "folder", result), truth)
