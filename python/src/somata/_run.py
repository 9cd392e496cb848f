"""One run of `sort` or `image`: options in, result folder out, scratch files removed."""

from __future__ import annotations

import ast
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from . import _parameters, _progress
from ._program import Progress, run
from ._recordings import Input, PathLike
from ._result import scratch_folder
from .errors import SomataUsageError


def run_options(
    *,
    device: str,
    threads: int | None,
    memory: str | None,
    work: PathLike | None,
    keep_work: bool,
    force: bool,
    params_file: PathLike | None,
    parameters: Mapping[str, _parameters.Setting],
) -> list[str]:
    """The options that `sort` and `image` share."""
    options = ["--device", device]
    if threads is not None:
        options += ["--threads", str(threads)]
    if memory is not None:
        options += ["--memory", memory]
    if work is not None:
        options += ["--work", os.fspath(work)]
    if keep_work:
        options.append("--keep-work")
    if force:
        options.append("--force")
    if params_file is not None:
        options += ["--params", os.fspath(params_file)]
    return options + _parameters.settings(parameters)


def run_to_folder(
    command: str,
    make_input: Callable[[Path], Input],
    out: PathLike | None,
    copy_to: PathLike | None,
    options: list[str],
    progress: Progress | bool | None,
) -> tuple[Path, Path | None]:
    """Runs a command; returns the folder of its result, and the scratch folder around it where `out` is None."""
    if copy_to is not None and Path(copy_to).exists() and not Path(copy_to).is_dir():
        raise SomataUsageError(f"`copy_to={os.fspath(copy_to)}` is a file", "give a folder")
    # A result without a place of its own lies in a folder that goes with the result object.
    result_scratch = scratch_folder() if out is None else None
    folder = Path(out) if out is not None else _in(result_scratch) / "result"
    # A copy of the samples goes as soon as the run is over, unless it was asked for by name.
    copy_scratch = None
    try:
        if copy_to is None:
            copy_scratch = scratch_folder()
        source = make_input(Path(copy_to) if copy_to is not None else _in(copy_scratch))
        run(
            command,
            *(str(path) for path in source.paths),
            "--out",
            str(folder),
            "--quiet",
            *source.options,
            *options,
            on_event=_progress.reporter(progress),
        )
        if command == "sort":
            params = folder / "phy" / "params.py"
            if source.stand_in is not None:
                name_raw_file(params, source.stand_in[0].parent, source.stand_in[1])
            if copy_scratch is not None:
                name_raw_file(params, copy_scratch, None)
    except BaseException:
        if result_scratch is not None:
            shutil.rmtree(result_scratch, ignore_errors=True)
        raise
    finally:
        if copy_scratch is not None:
            shutil.rmtree(copy_scratch, ignore_errors=True)
    return folder, result_scratch


def _in(folder: Path | None) -> Path:
    assert folder is not None
    return folder


def name_raw_file(params: Path, within: Path, target: Path | None) -> None:
    """Lets phy's `dat_path` name `target`, or nothing, where it names a file in the folder `within`."""
    with contextlib.suppress(FileNotFoundError):
        lines = params.read_text(encoding="utf-8").splitlines()
        for index, line in enumerate(lines):
            name, _, value = line.partition(" = ")
            if name == "dat_path" and within.resolve() in Path(os.path.abspath(ast.literal_eval(value))).parents:
                # Some readers split a line at `=`, so the path has none.
                text = "''" if target is None else repr(str(target)).replace("=", "\\x3d")
                lines[index] = f"dat_path = {text}"
        params.write_text("\n".join(lines) + "\n", encoding="utf-8")
