"""Finds the program, runs it, and turns its events and exit codes into Python.

The program runs as a process of its own: what it computes does not hold Python's lock, a crash of it cannot take the
notebook along, and its memory is given back when it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from .errors import SomataNotFoundError, error_from_exit

_NAME = "somata.exe" if os.name == "nt" else "somata"

# How long a run may take to keep its finished stages after it was asked to stop, in seconds.
_STOP_SECONDS = 120.0


@dataclass(frozen=True)
class Event:
    """One thing that happened during a run.

    `kind` says which of the other fields have a value: `stage_started` (stage), `progress` (stage, fraction from 0 to
    1), `stage_done` (stage, seconds, resumed) and `warning` (message).
    """

    kind: Literal["stage_started", "progress", "stage_done", "warning"]
    stage: str = ""
    fraction: float = 0.0
    seconds: float = 0.0
    resumed: bool = False
    message: str = ""


#: What is called with each event; an exception that it raises stops the run.
Progress = Callable[[Event], None]


def program() -> Path:
    """Path of the program: what SOMATA_BINARY names, else the one in this package, else the one on PATH.

    Raises:
        SomataNotFoundError: when there is none.
    """
    named = os.environ.get("SOMATA_BINARY")
    if named:
        if not Path(named).is_file():
            raise SomataNotFoundError(f"SOMATA_BINARY names `{named}`, which is no file", "correct it or unset it")
        return Path(named)
    bundled = Path(__file__).parent / "bin" / _NAME
    if bundled.is_file():
        return bundled
    on_path = shutil.which("somata")
    if on_path:
        return Path(on_path)
    raise SomataNotFoundError(
        "the program `somata` was not found",
        "install a wheel that holds it, put it on PATH, or let SOMATA_BINARY name it",
    )


def main() -> int:
    """The command `somata` of an installed wheel: hands over to the program."""
    command = [str(program()), *sys.argv[1:]]
    if os.name != "nt":
        # The program takes the place of this process, so that signals and exit codes are its own.
        os.execv(command[0], command)
    return subprocess.call(command)


def run(
    *arguments: str | os.PathLike[str],
    on_event: Progress | None = None,
) -> str:
    """Runs `somata ARGUMENTS…` and returns what it wrote to standard output, less its events.

    Args:
        arguments: as on the command line.
        on_event: called with each event of the run; the command must be one that has `--events`.

    Raises:
        SomataError: when the program ends with another code than 0; the class tells which.
        KeyboardInterrupt: after the program has kept what it finished.
    """
    command = [str(program()), *(os.fspath(argument) for argument in arguments)]
    if on_event is not None:
        command += ["--events", "-"]
    process = _start(command)
    errors: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    # Standard error is drained beside, so that neither pipe can fill up and block the program.
    drain = threading.Thread(target=_read_all, args=(process.stderr, errors), daemon=True)
    drain.start()
    output: list[str] = []
    try:
        for line in process.stdout:
            event = _event(line) if on_event is not None else None
            if event is None:
                output.append(line)
            elif on_event is not None:
                on_event(event)
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        drain.join(timeout=5)
        process.stdout.close()
        process.stderr.close()
    if code != 0:
        raise error_from_exit(code, "".join(errors))
    return "".join(output)


def run_json(*arguments: str | os.PathLike[str]) -> Any:
    """Runs a command with `--json` and returns what it printed, parsed."""
    return json.loads(run(*arguments, "--json"))


@lru_cache(maxsize=8)
def _version(path: Path) -> str:
    text = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=True).stdout
    return text.split()[-1]


def program_version() -> str:
    """Version of the program, for example `0.1.0`."""
    return _version(program())


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    # In a group of its own: a terminal's Ctrl-C would reach the program as well as Python, and a second signal makes
    # it end at once instead of after the next chunk.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _stop(process: subprocess.Popen[str]) -> None:
    """Asks the program to stop at the next chunk, and ends it when it does not."""
    if process.poll() is not None:
        return
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT) if os.name == "nt" else signal.SIGINT)
    # Its events still have to go somewhere, else it would wait for room in the pipe and never stop.
    assert process.stdout is not None
    threading.Thread(target=_read_all, args=(process.stdout, []), daemon=True).start()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    except BaseException:
        # A second Ctrl-C means at once.
        process.kill()
        process.wait()
        raise


def _read_all(stream: Any, into: list[str]) -> None:
    # The other thread may close the stream: then there is no one left to read for.
    with contextlib.suppress(ValueError):
        into.extend(stream)


def _event(line: str) -> Event | None:
    if not line.startswith('{"event":'):
        return None
    try:
        fields = json.loads(line)
    except json.JSONDecodeError:
        return None
    kind = fields.pop("event")
    known = {name: fields[name] for name in Event.__dataclass_fields__ if name in fields}
    return Event(kind=kind, **known) if kind in ("stage_started", "progress", "stage_done", "warning") else None
