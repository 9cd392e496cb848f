"""Parameters of the stages: what there are, and how they are passed on.

Names, types, defaults and ranges are the program's own (`somata params --json`); nothing is repeated here, so this
module cannot be out of date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ._program import program, run_json
from .errors import SomataUsageError

Value = bool | int | float | str
#: A value for `"stage.name"`, or a mapping of names to values for `stage`.
Setting = Value | Mapping[str, Value]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a stage.

    `name` is `stage.name`; `unit` is empty for ratios and counts; `minimum` and `maximum` are None where there is no
    order (true or false).
    """

    name: str
    default: Value
    unit: str
    minimum: float | None
    maximum: float | None
    help: str


def parameters(command: Literal["sort", "image"]) -> dict[str, Parameter]:
    """All parameters of `sort` or of `image`, by their full names (`"matching.sweeps"`)."""
    return dict(_parameters(program(), command))


@lru_cache(maxsize=8)
def _parameters(_program: Path, command: str) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for entry in run_json("params", command):
        name = f"{entry['stage']}.{entry['name']}"
        ordered = entry["kind"] in ("number", "integer")
        low, high = (float(bound) for bound in entry["range"]) if ordered else (None, None)
        found[name] = Parameter(name, _typed(entry["kind"], entry["default"]), entry["unit"], low, high, entry["help"])
    return found


def _typed(kind: str, text: str) -> Value:
    if kind == "integer":
        return int(text)
    if kind == "number":
        return float(text)
    if kind == "boolean":
        return text == "true"
    return text


def settings(given: Mapping[str, Setting]) -> list[str]:
    """Options `--set stage.name=value` for what was given; the program checks names and ranges."""
    flat: dict[str, Value] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": one for inner, one in value.items()})
        elif "." in name:
            flat[name] = value
        else:
            raise SomataUsageError(
                f"`{name}` is neither an argument nor a stage with its parameters",
                f'write `{name}={{"name": value}}` for a parameter of the stage `{name}`; '
                "`somata.parameters(…)` lists all",
            )
    options: list[str] = []
    for name, value in flat.items():
        # Python's True is the program's true.
        text = str(value).lower() if isinstance(value, bool) else str(value)
        options += ["--set", f"{name}={text}"]
    return options
