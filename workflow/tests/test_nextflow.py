"""The Nextflow workflow calls the scripts as they are; where Nextflow is installed, its plan is run without work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import session as steps
from conftest import SCRIPTS, WORKFLOW

MAIN = (WORKFLOW / "nextflow/main.nf").read_text(encoding="utf-8")
CONFIG = (WORKFLOW / "nextflow/nextflow.config").read_text(encoding="utf-8")


def options_of(script: str) -> set[str]:
    told = subprocess.run([sys.executable, SCRIPTS / script, "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"--[a-z-]+", told.stdout))


def test_actions_and_options_are_those_of_the_scripts() -> None:
    commands = MAIN[MAIN.index("def session_command") :]
    for script in ("session", "cohort"):
        told = subprocess.run([sys.executable, SCRIPTS / f"{script}.py", "--help"], capture_output=True, text=True)
        actions = re.search(r"\{([a-z,]+)\}", told.stdout)
        assert actions is not None
        used = set(re.findall(rf"{script}_command\('(\w+)'\)", commands))
        assert used and used <= set(actions[1].split(","))
    # The options of all calls, but for the stubs' own words.
    assert set(re.findall(r"--[a-z][a-z-]+", commands)) <= options_of("session.py")


def test_settings_are_all_in_the_configuration_and_all_used() -> None:
    used = set(re.findall(r"params\.(\w+)", MAIN))
    there = set(re.findall(r"^    (\w+) = ", CONFIG[: CONFIG.index("profiles")], re.MULTILINE))
    assert used == there


def test_the_codes_that_are_tried_again_are_the_scripts() -> None:
    found = re.search(r"task\.exitStatus in \[([\d, ]+)\]", MAIN)
    assert found is not None
    assert tuple(int(code) for code in found[1].split(",")) == steps.TRANSIENT


def test_memory_is_asked_for_with_the_scripts_margin() -> None:
    assert f"bytes * {steps._MARGIN} / 1e6) as long) + {steps._BASE_MB}" in MAIN


@pytest.mark.skipif(shutil.which("nextflow") is None, reason="Nextflow is not installed")
def test_a_run_of_stubs_goes_through(tmp_path: Path) -> None:
    (tmp_path / "sessions.csv").write_text("name,kind,path,truth\na,sort,a,a\nb,image,b,\n")
    command = ["nextflow", "run", str(WORKFLOW / "nextflow/main.nf"), "-profile", "local", "-stub-run"]
    done = subprocess.run([*command, "--python", sys.executable], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results/cohort.csv").is_file()
