"""Twenty sessions on a Slurm of one node, of which some are killed, pre-empted, stopped or broken.

Run by hand, as root, with the packages slurm-wlm and munge: SOMATA_SLURM_TEST=1. SOMATA_SLURM_LOG names a folder for
what Snakemake and Slurm said, without the names of machines and folders.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import WORKFLOW
from layout import Layout, read_attempts

if not os.environ.get("SOMATA_SLURM_TEST"):
    pytest.skip("SOMATA_SLURM_TEST is not set", allow_module_level=True)
pytest.importorskip("snakemake_executor_plugin_slurm", reason="snakemake-executor-plugin-slurm is not installed")

HERE = Path(__file__).parent
N_RECORDINGS, N_MOVIES = 13, 7
PATIENCE_S = 1500


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "slurm"
    subprocess.run([HERE / "slurm.sh", "start", folder, "2"], check=True)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    yield folder
    subprocess.run([HERE / "slurm.sh", "stop", folder], check=True)


@pytest.fixture
def cohort(binary: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    (folder / "raw").mkdir(parents=True)
    (folder / "faults").mkdir()
    lines = ["name,kind,path,options,truth"]
    for number in range(1, N_RECORDINGS + 1):
        # The first one is the one that is pre-empted: it must run for long enough to be met.
        seconds = "60" if number == 1 else "10"
        options = ["--kind", "static", "--channels", "32", "--units", "10", "--seconds", seconds]
        simulate(binary, folder, "recording", f"r{number:02}", options, number)
        lines.append(f"r{number:02},sort,raw/r{number:02},,raw/r{number:02}")
    for number in range(1, N_MOVIES + 1):
        simulate(binary, folder, "movie", f"m{number:02}", ["--kind", "small", "--frames", "300"], number)
        lines.append(f"m{number:02},image,raw/m{number:02}/movie.tif,--frame-rate 30,raw/m{number:02}")
    (folder / "sessions.csv").write_text("\n".join(lines) + "\n")
    return folder


def simulate(binary: Path, folder: Path, kind: str, name: str, options: list[str], seed: int) -> None:
    command = [str(binary), "simulate", kind, name, *options, "--seed", str(seed)]
    subprocess.run(command, cwd=folder / "raw", check=True, capture_output=True)


def start(folder: Path, binary: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "snakemake/Snakefile")]
    command += ["--workflow-profile", str(WORKFLOW / "snakemake/profiles/slurm"), "--latency-wait", "5"]
    command += ["--slurm-no-account", "--default-resources", "slurm_partition=low"]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    command += ["--config", f"somata={HERE / 'somata_with_faults.py'}", "threads=1", "default_minutes=10"]
    environment = {**os.environ, "SOMATA_BINARY": str(binary), "SOMATA_FAULTS": str(folder / "faults")}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=log.open("ab"), stderr=subprocess.STDOUT)


def slurm_says(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wait_until(what: str, holds, process: subprocess.Popen[bytes] | None = None) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"it took too long until {what}"
        assert process is None or process.poll() is None, f"the workflow ended before {what}"
        time.sleep(0.05)


def attempts_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return read_attempts(Layout(folder / "results", name).attempts)


def codes_of(folder: Path, name: str) -> list[int | None]:
    return [one.get("code") for one in attempts_of(folder, name)]


def running_job(name: str) -> str | None:
    """The job that works on a session: its comment names it, after the rule."""
    for line in slurm_says("squeue", "-h", "-t", "R", "-o", "%i %k").splitlines():
        job, _, comment = line.partition(" ")
        if name in comment:
            return job
    return None


def without_names(text: str, folder: Path) -> str:
    """A log without what belongs to the machine."""
    for path, word in ((str(folder.parent), "TEST"), (str(WORKFLOW.parent), "somata"), (sys.prefix, "PYTHON")):
        text = text.replace(path, word)
    text = re.sub(r"(?m)^ *(?:Host|User|Platform|Python version): .*\n", "", text)
    text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "node", text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_twenty_sessions_are_done_whatever_happens_to_their_jobs(slurm: Path, cohort: Path, binary: Path) -> None:
    log = cohort / "snakemake.log"
    samples = cohort / "raw/r03/recording.bin"
    whole = samples.read_bytes()
    samples.write_bytes(whole[:-1])

    process = start(cohort, binary, log)
    try:
        # Somebody with more rights needs the whole node while r01 is at work.
        kept = cohort / "work/r01/checkpoints"
        wait_until("r01 had kept a stage", lambda: any(kept.glob("*.bin")), process)
        job = running_job("r01")
        assert job is not None
        urgent = ["sbatch", "-p", "urgent", "--exclusive", "-n1", "-o", os.devnull, "--wrap", "sleep 5"]
        slurm_says(*urgent)
        state = ["squeue", "-h", "-j", job, "-o", "%T"]
        wait_until("r01 was back in the queue", lambda: slurm_says(*state).strip() == "PENDING", process)
        history = slurm_says("squeue", "-h", "-t", "all", "-o", "%P %T %r")
        # Nothing runs now but the urgent job. Two of the sessions that have not begun will be killed and stopped.
        begun = {line.split()[0] for line in (cohort / "faults/calls.txt").read_text().splitlines()}
        later = [f"{kind}{number:02}" for number in range(4, N_MOVIES + 1) for kind in "rm"]
        killed, stopped = [name for name in later if name not in begun][:2]
        (cohort / f"faults/{killed}.SIGKILL").touch()
        (cohort / f"faults/{stopped}.SIGTERM").touch()
        # Slurm lets a job that was put back wait for two minutes; here nobody needs that.
        pending = slurm_says("squeue", "-h", "-t", "PD", "-p", "low", "-o", "%i %r").splitlines()
        for line in pending:
            if "BeginTime" in line:
                slurm_says("scontrol", "update", f"JobId={line.split()[0]}", "StartTime=now")
        assert process.wait(timeout=PATIENCE_S) == 1
    finally:
        process.kill()
    assert codes_of(cohort, killed) == [137, 0]
    assert codes_of(cohort, stopped) == [143, 0]
    assert codes_of(cohort, "r03") == [3]
    # r01 was put back by Slurm itself: the same job, and so the same try, ran twice.
    assert codes_of(cohort, "r01") == [143, 0]
    assert [one["attempt"] for one in attempts_of(cohort, "r01")] == [1, 1]
    for name in (killed, stopped):
        assert [one["attempt"] for one in attempts_of(cohort, name)] == [1, 2]
    for name in ("r01", killed, stopped):
        stages = json.loads((cohort / f"results/sessions/{name}/manifest.json").read_text())["stages"]
        assert any(stage["resumed"] for stage in stages), name
    assert "1 of 20 sessions are not done" in log.read_text()

    samples.write_bytes(whole)
    assert start(cohort, binary, log).wait(timeout=PATIENCE_S) == 0
    assert codes_of(cohort, "r03") == [3, 0]
    with (cohort / "results/cohort.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {row["state"] for row in rows} == {"done"}
    assert "low" in history
    if kept_at := os.environ.get("SOMATA_SLURM_LOG"):
        folder = Path(kept_at)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "snakemake.log").write_text(without_names(log.read_text(), cohort), encoding="utf-8")
        (folder / "squeue.txt").write_text(without_names(history, cohort), encoding="utf-8")
        shutil.copy(cohort / "results/cohort.csv", folder / "cohort.csv")
        keys = ("attempt", "code", "seconds", "memory_mb", "message")
        lines = [
            json.dumps({"name": row["name"], **{key: one.get(key) for key in keys}}, ensure_ascii=False) + "\n"
            for row in rows
            for one in attempts_of(cohort, row["name"])
        ]
        (folder / "attempts.jsonl").write_text(without_names("".join(lines), cohort), encoding="utf-8")
