#!/usr/bin/env python3
"""One session of the table: what it needs, its run, its score.

    session.py estimate --table sessions.csv --name NAME --results RESULTS
    session.py run      --table sessions.csv --name NAME --results RESULTS --work WORK --memory-mb 8000
    session.py score    --table sessions.csv --name NAME --results RESULTS
    session.py list     --table sessions.csv

Workflow managers call it; it may be called by hand as well. What somata's exit codes mean for a scheduler is decided
here, in one place for all of them:

| code | here |
|---|---|
| 0 | done |
| 1, 2, 3, 4 and all others | failed: another try would end the same way |
| 5, 130, 137, 143 | the manager should try again, with more memory and on another node; failed after the last try |

`run` ends with somata's own code. With `--settle` it ends with 0 once the outcome is final, and the status file says
whether the session is done or failed: one bad session then does not stop the workflow.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layout import Layout, add_line, read_attempts, read_json, write_json
from sessions import Session, TableError, read_table

#: Exit codes after which the same command may succeed: no device here, interrupted, out of memory, terminated.
TRANSIENT = (5, 130, 137, 143)

# A run is planned to stay this far below the job's limit, since an estimate is not a bound.
_PLANNED_SHARE = 0.85
_MARGIN = 1.3
_BASE_MB = 200

# `error: MESSAGE`, an empty line, `hint: HINT`; the argument parser writes `tip:` instead.
_MESSAGE = re.compile(r"^error: (.*?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_HINT = re.compile(r"^\s*(?:hint|tip): (.*?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def describe(session: Session) -> dict[str, Any]:
    """A session for a workflow manager, with what shows that its data changed."""
    try:
        found = session.path.stat()
        changed = f"{found.st_size} {found.st_mtime_ns}"
    except OSError:
        changed = ""
    truth = None if session.truth is None else str(session.truth)
    told = {"name": session.name, "kind": session.kind, "path": str(session.path)}
    return {**told, "options": list(session.options), "truth": truth, "data": changed}


# -- what a session needs


def estimate(session: Session, layout: Layout, program: str, threads: int, device: str) -> dict[str, Any]:
    """What `--dry-run` says: `memory_bytes`, `disk_bytes`, `seconds` and `duration_s`, each None where it is not said.

    A session that cannot be estimated is not an error here: its run will say what is wrong.
    """
    command = [
        program,
        session.kind,
        str(session.path),
        *session.options,
        "--out",
        str(layout.out.absolute()),
        "--dry-run",
    ]
    command += ["--threads", str(threads), *_device(session, device)]
    told: dict[str, Any] = {}
    try:
        done = subprocess.run(command, cwd=session.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        parsed = json.loads(done.stdout) if done.returncode == 0 else None
        told = parsed if isinstance(parsed, dict) else {}
        problem = None if told else _said(done.stderr)[0] or f"`--dry-run` ended with {done.returncode}"
    except (OSError, ValueError) as error:
        problem = str(error)
    return {
        "name": session.name,
        "memory_bytes": _number(told, "memory_bytes", "peak_memory_bytes"),
        "disk_bytes": _number(told, "disk_bytes", "work_bytes"),
        "seconds": _number(told, "seconds", "time_s", "estimated_s"),
        "duration_s": _number(told, "duration_s"),
        "problem": problem,
    }


def _number(told: Mapping[str, Any], *names: str) -> float | None:
    """The first of some fields that holds a number above zero, here or one level below."""
    places = [told, *(value for value in told.values() if isinstance(value, dict))]
    for name in names:
        for place in places:
            value = place.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
                return value
    return None


def memory_mb(told: Mapping[str, Any], default_mb: int, doublings: int = 0) -> int:
    """Memory to ask the scheduler for, MB: the estimate with a margin, doubled where that was not enough."""
    said = _number(told, "memory_bytes")
    first = default_mb if said is None else math.ceil(said / 1e6 * _MARGIN) + _BASE_MB
    return int(first * 2**doublings)


def doublings(tries: list[dict[str, Any]], attempt: int) -> int:
    """How often to double the memory for a try: once for each earlier one that ran out of memory, or was lost."""
    lacking = sum(one.get("code") in (137, None) for one in tries)
    # A job that the scheduler starts anew by itself has the memory that was asked for when it was handed in.
    return min(lacking, attempt - 1)


def disk_mb(told: Mapping[str, Any], default_mb: int) -> int:
    """Disk to ask the scheduler for, MB."""
    said = _number(told, "disk_bytes")
    return default_mb if said is None else math.ceil(said / 1e6) + _BASE_MB


def minutes(told: Mapping[str, Any], default_minutes: int, attempt: int = 1) -> int:
    """Time to ask the scheduler for, minutes: three times the estimate, since nodes differ; doubled on each try."""
    said = _number(told, "seconds")
    first = default_minutes if said is None else max(5, math.ceil(3 * said / 60))
    return int(first * 2 ** (attempt - 1))


# -- the run


def run(session: Session, layout: Layout, options: argparse.Namespace) -> int:
    """Runs somata once, writes down how it ended, and returns the code for the workflow manager."""
    work = Path(options.work) / session.name
    command = [options.program, session.kind, str(session.path), *session.options]
    command += ["--out", str(layout.out.absolute()), "--work", str(work.absolute()), "--quiet"]
    command += ["--threads", str(options.threads), *_device(session, options.device)]
    if options.memory_mb:
        command += ["--memory", f"{int(options.memory_mb * _PLANNED_SHARE)}MB"]
    if options.replace:
        command.append("--force")
    for folder in (layout.log.parent, layout.attempts.parent, layout.out.parent, work.parent):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.time()
    record = {
        "attempt": options.attempt,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "process": os.getpid(),
        "memory_mb": options.memory_mb,
        "code": None,
    }
    # Written before as well: a try that is lost with its node leaves a trace.
    add_line(layout.attempts, record)
    code, said = _run(command, session.folder, layout.log)
    message, hint = _said(said)
    if not message and code not in (0, 130, 143):
        message = f"`{options.program}` ended with exit code {code}"
        if code == 137:
            message = "the program was killed, which the system mostly does when memory runs out"
    add_line(layout.attempts, {**record, "code": code, "seconds": round(time.time() - started, 1), "message": message})
    if code in TRANSIENT and options.attempt < options.attempts:
        # No status yet: the next try has it.
        layout.status.unlink(missing_ok=True)
        print(f"{session.name}: exit code {code}, to be tried again", file=sys.stderr)
        return code
    write_json(
        layout.status,
        {
            "name": session.name,
            "state": "done" if code == 0 else "failed",
            "code": code,
            "message": message,
            "hint": hint,
            "attempts": len(read_attempts(layout.attempts)),
        },
    )
    if code == 0:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"{session.name}: failed with exit code {code}: {message}", file=sys.stderr)
    return 0 if options.settle else code


def _run(command: list[str], folder: Path, log: Path) -> tuple[int, str]:
    """Runs a command with its words added to `log`; its code as a shell shows it, and what it said."""
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(command)}\n".encode())
        file.flush()
        begin = file.tell()
        # A scheduler signals this process, at times only this one, so a signal is passed on. somata ends at the next
        # chunk; a second signal, where the scheduler sent one to both, ends it at once, with the same code and all
        # finished stages kept. One that comes before the program runs is kept for it.
        early: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: early.append(received))
        try:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        except OSError as error:
            file.write(f"error: `{command[0]}` cannot be run: {error.strerror}\n".encode())
            file.flush()
            code = 127
        else:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda received, _: process.send_signal(received))
            for received in early:
                process.send_signal(received)
            code = process.wait()
            code = 128 - code if code < 0 else code
    with log.open("rb") as file:
        file.seek(begin)
        return code, file.read().decode("utf-8", errors="replace")


def _said(text: str) -> tuple[str, str]:
    """The sentence of an error and its hint, each on one line; empty where there is none."""
    message = _MESSAGE.search(text)
    if message is None:
        return "", ""
    hint = _HINT.search(text, message.end())
    return " ".join(message[1].split()), " ".join(hint[1].split()) if hint else ""


def _device(session: Session, device: str) -> list[str]:
    named = any(option == "--device" or option.startswith("--device=") for option in session.options)
    return [] if named or not device else ["--device", device]


# -- the score


def score(session: Session, layout: Layout, program: str) -> dict[str, Any]:
    """What `somata validate` says of a finished session, in a few numbers; the reason where it says nothing."""
    if session.truth is None:
        return {"name": session.name, "problem": "there is no truth"}
    if read_json(layout.status).get("state") != "done":
        return {"name": session.name, "problem": "there is no result"}
    command = [program, "validate", str(layout.out.absolute()), str(session.truth), "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        told = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError) as error:
        return {"name": session.name, "problem": str(error)}
    if told is None:
        return {"name": session.name, "problem": _said(done.stderr)[0] or f"`validate` ended with {done.returncode}"}
    return {"name": session.name, **_numbers(told), "problem": None}


def _numbers(told: Any) -> dict[str, Any]:
    """The few numbers of a score that a table of many sessions shows."""
    if isinstance(told, dict) and isinstance(told.get("sorting"), dict):
        names = ("mean_accuracy", "mean_recall", "mean_precision", "n_true", "n_well_detected", "n_false_positive")
        return {name: told["sorting"].get(name) for name in names}
    planes = [plane for plane in told if isinstance(plane, dict)] if isinstance(told, list) else []
    found: dict[str, Any] = {}
    for name in ("f1_active", "f1_all", "mean_iou", "trace_r_median", "spike_r_median"):
        values = [plane[name] for plane in planes if isinstance(plane.get(name), (int, float))]
        found[name] = sum(values) / len(values) if values else None
    return found


# -- the command line


def main() -> int:
    """Reads the command line and does one thing for one session."""
    parser = argparse.ArgumentParser(description="One session of a table: what it needs, its run, its score.")
    parser.add_argument("action", choices=("list", "estimate", "run", "score"))
    parser.add_argument("--table", required=True, type=Path, help="CSV file with the sessions")
    parser.add_argument("--name", help="name of the session; not for `list`")
    parser.add_argument("--results", default=Path("results"), type=Path, help="folder of all results")
    parser.add_argument("--program", default="somata", help="the program")
    parser.add_argument("--device", default="", help="as `somata --device` takes it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", default="work", help="folder for checkpoints; each session has its own in it")
    parser.add_argument("--memory-mb", type=int, default=0, help="the job's limit, MB; 0 for none")
    parser.add_argument("--attempt", type=int, default=1, help="which try this is, from 1")
    parser.add_argument("--attempts", type=int, default=1, help="how many tries there are")
    parser.add_argument("--replace", action="store_true", help="replace a result of other parameters")
    parser.add_argument("--settle", action="store_true", help="end with 0 when the outcome is final, done or failed")
    options = parser.parse_args()
    try:
        sessions = read_table(options.table)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.action == "list":
        print(json.dumps([describe(session) for session in sessions.values()], indent=1))
        return 0
    session = sessions.get(options.name)
    if session is None:
        print(f"error: `{options.table}` names no session `{options.name}`", file=sys.stderr)
        return 2
    if "/" in options.program:
        options.program = str(Path(options.program).absolute())
    layout = Layout(options.results, session.name)
    if options.action == "run":
        return run(session, layout, options)
    if options.action == "estimate":
        write_json(layout.estimate, estimate(session, layout, options.program, options.threads, options.device))
    else:
        write_json(layout.score, score(session, layout, options.program))
    return 0


if __name__ == "__main__":
    sys.exit(main())
