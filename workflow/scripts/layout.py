"""Where the workflow's files are, and how they are written: the results' folder is the only thing that is told.

RESULTS/
  sessions/NAME/        what somata wrote
  estimates/NAME.json   what the run was expected to need
  status/NAME.json      how it ended
  attempts/NAME.jsonl   every try
  scores/NAME.json      against the truth, where there is one
  logs/NAME.log         what somata said
  cohort.csv, cohort.html
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """Paths of one session's files."""

    results: Path
    name: str

    @property
    def out(self) -> Path:
        """The result of somata."""
        return self.results / "sessions" / self.name

    @property
    def estimate(self) -> Path:
        """Memory, disk and time that are expected."""
        return self.results / "estimates" / f"{self.name}.json"

    @property
    def status(self) -> Path:
        """How the session ended."""
        return self.results / "status" / f"{self.name}.json"

    @property
    def attempts(self) -> Path:
        """All tries."""
        return self.results / "attempts" / f"{self.name}.jsonl"

    @property
    def score(self) -> Path:
        """Scores against the truth."""
        return self.results / "scores" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What somata wrote to standard error, all tries."""
        return self.results / "logs" / f"{self.name}.log"


def write_whole(path: Path, text: str) -> None:
    """Writes a file under a temporary name and renames it: it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON."""
    write_whole(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file holds; empty where there is none, or no object in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def add_line(path: Path, value: dict[str, Any]) -> None:
    """Adds an object to a file with one JSON object a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def read_attempts(path: Path) -> list[dict[str, Any]]:
    """All tries of a session, in order; `code` is None of one that is running or was lost.

    A try has a line when it begins and one when it ends. A line that was cut off is left out.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found[repr(value.get("started")), repr(value.get("process"))] = value
    return list(found.values())
