"""What `pip wheel ./python` calls (PEP 517): a wheel with the program inside, or an editable installation without it.

The program is, in this order, what `--config-settings binary=PATH` names, what the environment variable SOMATA_BINARY
names, or what `cargo build --release` makes. The wheel itself is made by build_wheel.py; editable installations, where
the program is found when it is needed, are setuptools'.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import build_wheel as maker  # noqa: E402

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = Mapping[str, Any] | None


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Makes the wheel and returns its name."""
    named = (config_settings or {}).get("binary") or os.environ.get("SOMATA_BINARY")
    binary = Path(named).absolute() if named else _built()
    # Symbols are nine tenths of the program, and of no use to who installs it.
    return maker.build(binary, Path(wheel_directory), strip=shutil.which("strip") is not None).name


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Writes what the wheel will say of itself, and returns the folder's name; without it pip would build twice."""
    project, name = maker.read_project()
    folder = Path(metadata_directory) / f"{name}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    (folder / "METADATA").write_text(maker.metadata(project, readme), encoding="utf-8")
    return folder.name


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> NoReturn:
    """There is none: the program's source is not in this folder."""
    sys.exit("error: only wheels can be made here\n\nhint: run `pip wheel ./python --no-deps` in the repository")


def _built() -> Path:
    """The program, built from the repository around this folder."""
    manifest = HERE.parent / "Cargo.toml"
    if shutil.which("cargo") is None or not manifest.is_file():
        sys.exit(
            "error: there is no Rust toolchain, or no repository, to build the program with\n\n"
            "hint: install Rust, or name a program with `--config-settings binary=PATH`"
        )
    told = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps", "--manifest-path", str(manifest)],
        check=True,
        capture_output=True,
        text=True,
    )
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "-p", "somata", "--manifest-path", str(manifest)], check=True
    )
    name = "somata.exe" if os.name == "nt" else "somata"
    return Path(json.loads(told.stdout)["target_directory"]) / "release" / name
