"""A wheel that pip makes holds the program, and works where there is nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="wheels are made with Python 3.11 or newer")
@pytest.mark.skipif(os.name == "nt", reason="the folders of an environment have other names")
def test_a_wheel_that_pip_makes_brings_the_program_along(binary: Path, tmp_path: Path) -> None:
    wheels, place = tmp_path / "wheels", tmp_path / "fresh"
    # What the test runs with must not leak into the new environment.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SOMATA_BINARY")}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    venv.create(place, with_pip=True)
    python = place / "bin/python"

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in command], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    binary_setting = ["--config-settings", f"binary={binary.absolute()}"]
    run(python, "-m", "pip", "wheel", HERE, "--no-deps", "--wheel-dir", wheels, *binary_setting)
    (wheel,) = wheels.iterdir()
    assert wheel.name.startswith("somata_neuro-")
    assert "none-any" not in wheel.name
    run(python, "-m", "pip", "install", "--quiet", wheel)
    version = run(place / "bin/somata", "--version")
    code = "import somata; print(somata.program()); print('somata', somata.program_version())"
    program, told = run(python, "-c", code).splitlines()
    assert place in Path(program).parents
    assert told == version.strip()
    # The exit code of the command is the program's.
    bad = subprocess.run([place / "bin/somata", "sort", "nothing", "--out", tmp_path / "out"], capture_output=True)
    assert bad.returncode == 3
