"""The program, the scripts, and a few simulated sessions that the tests copy.

SOMATA_BINARY names the program where it is not on PATH. Without it the tests that run it are skipped, and fail where
SOMATA_REQUIRE_BINARY is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).resolve().parents[1]
SCRIPTS = WORKFLOW / "scripts"
sys.path.insert(0, str(SCRIPTS))


@pytest.fixture(scope="session")
def binary() -> Path:
    found = os.environ.get("SOMATA_BINARY") or shutil.which("somata")
    if found and Path(found).is_file():
        return Path(found).absolute()
    reason = "SOMATA_BINARY names no program, and there is none on PATH"
    if os.environ.get("SOMATA_REQUIRE_BINARY"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def simulated(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording and a movie, each with its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    recording = ["recording", "recording", "--kind", "static", "--channels", "32", "--units", "10", "--seconds", "10"]
    movie = ["movie", "movie", "--kind", "small", "--frames", "200"]
    for one in (recording, movie):
        subprocess.run([binary, "simulate", *one, "--seed", "3"], cwd=folder, check=True, capture_output=True)
    return folder
