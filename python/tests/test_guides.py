"""The commands of the guides do what the guides say: blocks that are marked are run, in order, in an empty folder.

A comment of its own above a block marks it: `<!-- runs -->` for a shell, `<!-- runs: python -->` for Python, and
`<!-- runs: table -->` above a table for all commands of the program in it; `needs NAME` leaves a block out where that
package is not installed. A comment `<!-- setup … -->` has the commands that make what the reader
is taken to have. The blocks of one guide that are Python are one program; it runs after the shell's blocks before it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PACKAGE = Path(__file__).resolve().parents[1] / "src"

_MARK = re.compile(r"^<!-- (?:runs(?P<how>:[^>]*)?|setup\n(?P<setup>.*?)) ?-->$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"\n*((?: {4}.*\n|\n)*(?: {4}.*\n))")
_TABLE = re.compile(r"\n*((?:\|.*\n)+)")
_COMMAND = re.compile(r"`(somata [^`]+)`")


@dataclass
class Step:
    """A block of a guide; several where the language is Python."""

    language: str
    text: str
    line: int


def steps_of(page: str) -> Iterator[Step]:
    for mark in _MARK.finditer(page):
        line = page.count("\n", 0, mark.start()) + 1
        if mark["setup"] is not None:
            yield Step("shell", mark["setup"], line)
            continue
        words = [word.strip() for word in (mark["how"] or ": shell")[1:].split(",")]
        is_table = words[0] == "table"
        block = (_TABLE if is_table else _BLOCK).match(page, mark.end())
        assert block is not None, f"line {line}: there is no block below the mark"
        if is_table:
            commands = dict.fromkeys(_COMMAND.findall(block[1]))
            assert commands, f"line {line}: there is no command in the table"
            yield Step("shell", "\n".join(commands) + "\n", line)
            continue
        needed = [word.split()[1] for word in words if word.startswith("needs ")]
        if all(importlib.util.find_spec(name) for name in needed):
            text = "\n".join(one[4:] for one in block[1].splitlines())
            yield Step(words[0], text + "\n", line)


def joined(steps: Iterator[Step]) -> list[Step]:
    """Neighbouring blocks of Python as one, since the later ones use the names of the earlier ones."""
    found: list[Step] = []
    for step in steps:
        if found and step.language == found[-1].language == "python":
            found[-1].text += step.text
        else:
            found.append(step)
    return found


PAGES = sorted(path.name for path in (DOCS / "guides").glob("*.md") if _MARK.search(path.read_text(encoding="utf-8")))


def test_the_guides_have_blocks_that_are_run() -> None:
    assert {"first-sort.md", "first-movie.md", "first-hour.md", "python.md", "hand-on-results.md"} <= set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_what_a_guide_tells_to_type_works(name: str, binary: Path, tmp_path: Path) -> None:
    folder, programs = tmp_path / "here", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "somata").symlink_to(binary.absolute())
    (programs / "python").symlink_to(sys.executable)
    environment = {
        **os.environ,
        "SOMATA_BINARY": str(binary.absolute()),
        "SOMATA_CHECKOUT": str(DOCS.parent),
        "PYTHONPATH": str(PACKAGE),
        "MPLBACKEND": "agg",
    }
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    for step in joined(steps_of((DOCS / "guides" / name).read_text(encoding="utf-8"))):
        command = [sys.executable, "-c", step.text] if step.language == "python" else ["bash", "-euc", step.text]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        said = f"{name}, line {step.line}, ended with {done.returncode}:\n{step.text}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, said
