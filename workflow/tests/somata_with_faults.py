#!/usr/bin/env python3
"""Stands in front of the program and injects faults, once each: what a cluster does to jobs.

The folder SOMATA_FAULTS holds empty files `NAME.SIGNAL`, for example `mouse3.SIGKILL`: the next run of the session
NAME gets that signal as soon as its first stage is kept, and the file is removed. Every run is noted in `calls.txt`
there. The exit code is the program's, as a shell shows it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# How long a first stage may take, in seconds.
_PATIENCE_S = 120.0


def main() -> int:
    arguments = sys.argv[1:]
    command = [os.environ["SOMATA_BINARY"], *arguments]
    faults = Path(os.environ["SOMATA_FAULTS"])
    if "--work" not in arguments:
        return subprocess.call(command)
    work = Path(arguments[arguments.index("--work") + 1])
    fault = next(iter(faults.glob(f"{work.name}.SIG*")), None)
    with (faults / "calls.txt").open("a", encoding="utf-8") as file:
        file.write(f"{work.name} {fault.suffix[1:] if fault else '-'}\n")
    if fault is None:
        return subprocess.call(command)
    fault.unlink()
    process = subprocess.Popen(command)
    end = time.monotonic() + _PATIENCE_S
    while not any((work / "checkpoints").glob("*.bin")):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            print(f"error: {work.name} left no first stage to be stopped after", file=sys.stderr)
            return 99
        time.sleep(0.002)
    process.send_signal(getattr(signal, fault.suffix[1:]))
    code = process.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
