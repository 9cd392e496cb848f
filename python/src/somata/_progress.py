"""Shows events of a run: a bar where `tqdm` is installed, plain lines elsewhere, or what the caller likes."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from ._program import Event, Progress


class SomataWarning(UserWarning):
    """A warning of a run. It is in the manifest of the result as well."""


def reporter(progress: Progress | bool | None) -> Progress:
    """What to call with each event.

    Args:
        progress: a function; True to show a bar (lines without `tqdm`); False to show nothing; None to show a bar only
            where someone looks, on a terminal or in a notebook.

    Warnings become `SomataWarning` whatever is chosen, except for a function of the caller's, which gets them itself.
    """
    if callable(progress):
        return progress
    if progress is None:
        progress = sys.stderr.isatty() or "ipykernel" in sys.modules
    return _Shown() if progress else _warn_only


def _warn_only(event: Event) -> None:
    if event.kind == "warning":
        warnings.warn(event.message, SomataWarning, stacklevel=2)


class _Shown:
    """A bar for the stage that runs; done stages stay as lines."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            self._tqdm: Any = None
        else:
            self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        _warn_only(event)
        if self._tqdm is None:
            if event.kind == "stage_done":
                how = "from the work folder" if event.resumed else f"{event.seconds:.1f} s"
                print(f"{event.stage:<22} {how}", file=sys.stderr)
            return
        if event.kind == "stage_started":
            self._bar = self._tqdm(
                total=100, desc=event.stage, bar_format="{desc:<20}{bar}{percentage:3.0f}% {elapsed}"
            )
        elif self._bar is not None and event.kind == "progress":
            self._bar.update(100 * event.fraction - self._bar.n)
        elif self._bar is not None and event.kind == "stage_done":
            self._bar.update(100 - self._bar.n)
            self._bar.close()
            self._bar = None
