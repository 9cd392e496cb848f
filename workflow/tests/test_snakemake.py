"""The Snakemake workflow on simulated sessions, with faults: all are done in the end, and nothing was run in vain."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import WORKFLOW
from layout import Layout

pytest.importorskip("snakemake", reason="snakemake is not installed")

FAULTY = Path(__file__).parent / "somata_with_faults.py"


def snakemake(folder: Path, binary: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "snakemake/Snakefile")]
    command += ["--workflow-profile", str(WORKFLOW / "snakemake/profiles/local"), "--cores", "2"]
    command += ["--config", f"somata={FAULTY}", "threads=1", *more]
    environment = {**os.environ, "SOMATA_BINARY": str(binary), "SOMATA_FAULTS": str(folder / "faults")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "results/cohort.csv").open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.fixture
def cohort(simulated: Path, tmp_path: Path) -> Path:
    """Five sessions, three of them with a fault that waits for them."""
    lines = ["name,kind,path,options,truth"]
    for name in ("plain", "killed", "broken"):
        shutil.copytree(simulated / "recording", tmp_path / "raw" / name)
        lines.append(f"{name},sort,raw/{name},--set matching.rounds=1,raw/{name}")
    shutil.copytree(simulated / "movie", tmp_path / "raw/movie")
    lines.append("movie,image,raw/movie/movie.tif,--frame-rate 30,raw/movie")
    lines.append("stopped,image,raw/movie/movie.tif,--frame-rate 30 --tau 0.7,")
    (tmp_path / "sessions.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "faults").mkdir()
    for fault in ("killed.SIGKILL", "stopped.SIGTERM"):
        (tmp_path / "faults" / fault).touch()
    # Cut in the middle of a sample.
    samples = tmp_path / "raw/broken/recording.bin"
    shutil.copy(samples, tmp_path / "whole.bin")
    with samples.open("r+b") as file:
        file.truncate(samples.stat().st_size - 1)
    return tmp_path


def test_a_killed_a_stopped_and_a_broken_session_are_all_done_in_the_end(cohort: Path, binary: Path) -> None:
    first = snakemake(cohort, binary)
    assert first.returncode == 1, first.stderr
    assert "1 of 5 sessions are not done" in first.stderr
    assert "broken: failed: " in first.stderr
    rows = rows_of(cohort)
    codes = {name: row["exit_codes"] for name, row in rows.items()}
    # Killed and stopped ones were tried again; the broken one was not.
    assert codes == {"plain": "0", "killed": "137 0", "broken": "3", "movie": "0", "stopped": "143 0"}
    assert "is not a multiple" in rows["broken"]["message"]
    # Those that were tried again went on from what the first try had kept; the killed one with twice the memory.
    for name, times in (("killed", 2), ("stopped", 1)):
        layout = Layout(cohort / "results", name)
        stages = json.loads((layout.out / "manifest.json").read_text())["stages"]
        assert any(stage["resumed"] for stage in stages), stages
        tries = [json.loads(line) for line in layout.attempts.read_text().splitlines()]
        assert tries[-1]["memory_mb"] == times * tries[0]["memory_mb"]
    # A recording this short has few spikes a unit: that there is a score is what counts here.
    assert float(rows["plain"]["mean_accuracy"]) > 0.1
    assert float(rows["movie"]["f1_all"]) > 0.5
    # Finished sessions leave nothing on scratch.
    assert [path.name for path in (cohort / "work").iterdir()] == []

    shutil.copy(cohort / "whole.bin", cohort / "raw/broken/recording.bin")
    second = snakemake(cohort, binary)
    assert second.returncode == 0, second.stderr
    rows = rows_of(cohort)
    assert {row["state"] for row in rows.values()} == {"done"}
    assert rows["broken"]["exit_codes"] == "3 0"
    # It could not be estimated while it was broken; now it could.
    plain, broken = (Layout(cohort / "results", name).estimate.read_text() for name in ("plain", "broken"))
    assert json.loads(plain)["memory_bytes"] == json.loads(broken)["memory_bytes"] > 0
    # A recording that was killed, one that was broken and one that was left in peace are sorted alike.
    assert (
        len({(row["n_units"], row["n_spikes"], row["mean_accuracy"]) for row in rows.values() if row["n_units"]}) == 1
    )
    page = (cohort / "results/cohort.html").read_text(encoding="utf-8")
    assert "5 sessions: 5 done" in page

    third = snakemake(cohort, binary)
    assert third.returncode == 0, third.stderr
    calls = Counter(line.split()[0] for line in (cohort / "faults/calls.txt").read_text().splitlines())
    assert calls == {"plain": 1, "killed": 2, "broken": 2, "movie": 1, "stopped": 2}


def test_a_table_that_is_wrong_stops_the_workflow_before_it_begins(cohort: Path, binary: Path) -> None:
    (cohort / "sessions.csv").write_text("name,kind,path\na,sortt,b\n")
    done = snakemake(cohort, binary)
    assert done.returncode != 0
    assert "line 2: the kind is `sortt`; it must be sort or image" in done.stdout + done.stderr
    assert not (cohort / "results").exists()
