"""What the results of a sort and of a movie have in common: a folder, its manifest, and how long the folder lives."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, TypeVar

from ._files import read_manifest
from .errors import SomataInputError

R = TypeVar("R", bound="Result")


class Result:
    """A complete result in a folder. Nothing is read before it is asked for."""

    _kind = ""

    def __init__(self, folder: str | Path) -> None:
        """Opens the result in `folder`.

        Raises:
            SomataInputError: when the folder holds none, or one of another kind.
        """
        self.folder = Path(folder)
        #: What was run and with what outcome; docs/reference/output-folder.md describes each field.
        self.manifest: dict[str, Any] = read_manifest(self.folder)
        if self.manifest["kind"] != self._kind:
            raise SomataInputError(
                f"`{self.folder}` is a result of `somata {self.manifest['kind']}`, not of `somata {self._kind}`",
                "open it with `somata.load`",
            )
        self._temporary: weakref.finalize[[str, bool], Any] | None = None

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Every parameter that the result was made with, by stage."""
        found: dict[str, dict[str, Any]] = self.manifest["parameters"]
        return found

    @property
    def warnings(self) -> list[str]:
        """What the run warned of."""
        return [str(warning) for warning in self.manifest["warnings"]]

    @property
    def seconds(self) -> float:
        """How long the run took, s."""
        return float(self.manifest["seconds"])

    @property
    def device(self) -> str:
        """`cpu`, or name and backend of the graphics card."""
        return str(self.manifest["device"])

    def keep(self: R, folder: str | Path) -> R:
        """Moves a result that was made without `out=` to a place where it stays, and returns it from there.

        Raises:
            FileExistsError: when `folder` exists.
        """
        target = Path(folder)
        if target.exists():
            raise FileExistsError(f"`{target}` exists")
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._temporary is None:
            shutil.copytree(self.folder, target)
        else:
            shutil.move(self.folder, target)
            self._temporary()
        return type(self)(target)

    def _remove_with(self, scratch: Path) -> None:
        """Ties the life of the folder `scratch` to that of this object."""
        self._temporary = weakref.finalize(self, shutil.rmtree, str(scratch), True)


def scratch_folder() -> Path:
    """A new folder for what is not kept."""
    return Path(tempfile.mkdtemp(prefix="somata-"))
