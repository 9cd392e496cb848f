"""What can go wrong, one class for each exit code of the program.

Every exception carries the program's own sentence (`message`), what it says to do (`hint`, may be empty) and the exit
`code`; `log` holds all that the program wrote to standard error.
"""

from __future__ import annotations

import re


class SomataError(Exception):
    """Something went wrong; the subclass says what kind of thing."""

    code: int = 1

    def __init__(self, message: str, hint: str = "", *, code: int | None = None, log: str = "") -> None:
        super().__init__(f"{message}\n\nhint: {hint}" if hint else message)
        self.message = message
        self.hint = hint
        self.log = log
        if code is not None:
            self.code = code


class SomataBug(SomataError):
    """Exit code 1: the program failed where it should not. Please report it with `log` and the command line."""

    code = 1


class SomataUsageError(SomataError, ValueError):
    """Exit code 2: an argument or a parameter is wrong."""

    code = 2


class SomataInputError(SomataError, ValueError):
    """Exit code 3: the input is missing, unreadable, cut short, not supported or cannot be processed."""

    code = 3


class SomataOutputError(SomataError, OSError):
    """Exit code 4: the output is there already, is locked, or cannot be written."""

    code = 4

    # OSError prints only its first argument's errno form; the sentence is what a reader needs.
    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


class SomataDeviceError(SomataError):
    """Exit code 5: there is no suitable graphics device, or its driver failed."""

    code = 5


class SomataMemoryError(SomataError, MemoryError):
    """Exit code 137: out of memory, or killed by the system, which mostly means the same."""

    code = 137


class SomataStopped(SomataError):
    """Exit codes 130 and 143: the run was stopped by a signal; the same call goes on where it was."""

    code = 143


class SomataNotFoundError(SomataError, FileNotFoundError):
    """The program itself was not found."""

    code = 127

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}" if self.hint else self.message


_KINDS: dict[int, type[SomataError]] = {
    2: SomataUsageError,
    3: SomataInputError,
    4: SomataOutputError,
    5: SomataDeviceError,
    130: SomataStopped,
    137: SomataMemoryError,
    143: SomataStopped,
}

# `error: MESSAGE`, an empty line, `hint: HINT`. The argument parser writes `tip:` for a hint and then its usage.
_MESSAGE = re.compile(r"^error: (?P<message>.*?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_HINT = re.compile(r"^\s*(?:hint|tip): (?P<hint>.*?)(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def error_from_exit(code: int, stderr: str) -> SomataError:
    """The exception for an exit code and what was written to standard error.

    A negative code is a signal, as `subprocess` has it: it becomes what a shell would show, 128 and the signal.
    """
    if code < 0:
        code = 128 - code
    message, hint = "", ""
    if found := _MESSAGE.search(stderr):
        message = found["message"].strip()
        if found := _HINT.search(stderr, found.end()):
            hint = found["hint"].strip()
    if not message and code == 137:
        message = "the program was killed, which the system mostly does when memory runs out"
        hint = "give `memory=` a size below what the machine or job has, or fewer `threads=`"
    if not message:
        last = stderr.strip().splitlines()
        message = f"the program ended with exit code {code}" + (f": {last[-1]}" if last else "")
    return _KINDS.get(code, SomataBug)(message, hint, code=code, log=stderr)
