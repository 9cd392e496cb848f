"""One session: exit codes, tries, resources. A small script plays the program here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import session as steps
from conftest import SCRIPTS
from layout import Layout, read_attempts, read_json

PROGRAM = """#!{python}
import json, os, signal, sys, time
arguments = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(" ".join(arguments) + "\\n")
plan = json.load(open({plan!r}))
if "--dry-run" in arguments:
    print(json.dumps(plan["dry_run"]))
    sys.exit(plan.get("dry_run_code", 0))
code = plan["codes"].pop(0)
json.dump(plan, open({plan!r}, "w"))
if code == "wait":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    time.sleep(60)
if code < 0:
    os.kill(os.getpid(), -code)
out = arguments[arguments.index("--out") + 1]
work = arguments[arguments.index("--work") + 1]
os.makedirs(work, exist_ok=True)
if code == 0:
    os.makedirs(out)
    open(out + "/manifest.json", "w").write('{{"kind": "sort"}}')
else:
    print("error: `a.bin` is wrong\\n  in two lines\\n\\nhint: repair it", file=sys.stderr)
sys.exit(code)
"""


class Stage:
    """A folder with a table of one session, and a program that does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sessions.csv").write_text("name,kind,path,options\na,sort,a.bin,--set x.y=1\n")
        self.layout = Layout(folder / "results", "a")
        self.program = folder / "program"
        calls, plan = str(folder / "calls.txt"), str(folder / "plan.json")
        self.program.write_text(PROGRAM.format(python=sys.executable, calls=calls, plan=plan))
        self.program.chmod(0o755)

    def plan(self, *codes: object, dry_run: object = None, dry_run_code: int = 0) -> None:
        plan = {"codes": codes, "dry_run": dry_run, "dry_run_code": dry_run_code}
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def command(self, action: str, *more: str) -> list[str]:
        command = [sys.executable, str(SCRIPTS / "session.py"), action, "--table", "sessions.csv", "--name", "a"]
        return [*command, "--program", str(self.program), *more]

    def run(self, action: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(action, *more), cwd=self.folder, capture_output=True, text=True)

    def calls(self) -> list[str]:
        return (self.folder / "calls.txt").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_run_that_ends_well_is_done_and_its_checkpoints_go(stage: Stage) -> None:
    stage.plan(0)
    assert stage.run("run", "--memory-mb", "1000", "--device", "cpu", "--threads", "2").returncode == 0
    (call,) = stage.calls()
    assert call.startswith(f"sort {stage.folder}/a.bin --set x.y=1 --out {stage.folder}/results/sessions/a ")
    assert "--threads 2 --device cpu --memory 850MB" in call
    assert read_json(stage.layout.status)["state"] == "done"
    assert not (stage.folder / "work/a").exists()


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_what_cannot_succeed_is_final_at_the_first_try(stage: Stage, code: int) -> None:
    stage.plan(code)
    done = stage.run("run", "--attempt", "1", "--attempts", "3")
    assert done.returncode == code
    status = read_json(stage.layout.status)
    assert (status["state"], status["code"]) == ("failed", code)
    assert status["message"] == "`a.bin` is wrong in two lines"
    assert status["hint"] == "repair it"
    assert "a: failed" in done.stderr
    stage.plan(code)
    assert stage.run("run", "--attempts", "3", "--settle").returncode == 0


@pytest.mark.parametrize(("code", "shown"), [(5, 5), (130, 130), (137, 137), (143, 143), (-9, 137), (-15, 143)])
def test_what_may_go_better_is_left_open_until_the_last_try(stage: Stage, code: int, shown: int) -> None:
    stage.plan(code, code)
    first = stage.run("run", "--attempt", "1", "--attempts", "2", "--settle")
    assert first.returncode == shown
    assert not stage.layout.status.exists()
    assert stage.run("run", "--attempt", "2", "--attempts", "2", "--settle").returncode == 0
    assert read_json(stage.layout.status)["state"] == "failed"
    assert [one["code"] for one in read_attempts(stage.layout.attempts)] == [shown, shown]


def test_a_signal_to_the_script_reaches_the_program(stage: Stage) -> None:
    stage.plan("wait")
    process = subprocess.Popen(stage.command("run", "--attempts", "2"), cwd=stage.folder)
    end = time.monotonic() + 20
    while not (stage.folder / "calls.txt").exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.3)  # the program notes its call before it listens
    # The try has a line while it runs, so that one that is lost leaves a trace.
    assert [one["code"] for one in read_attempts(stage.layout.attempts)] == [None]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert [one["code"] for one in read_attempts(stage.layout.attempts)] == [143]


def test_a_program_that_is_not_there_is_a_failure_with_a_sentence(stage: Stage) -> None:
    done = stage.run("run", "--program", "no-such-program")
    assert done.returncode == 127
    assert "`no-such-program` cannot be run" in read_json(stage.layout.status)["message"]


def test_an_estimate_is_what_dry_run_says_wherever_it_says_it(stage: Stage) -> None:
    stage.plan(dry_run={"memory_bytes": 2e9, "disk_bytes": 5e8, "duration_s": 60, "seconds": "unknown"})
    assert stage.run("estimate", "--threads", "2").returncode == 0
    told = read_json(stage.layout.estimate)
    assert (told["memory_bytes"], told["disk_bytes"], told["seconds"]) == (2e9, 5e8, None)
    stage.plan(dry_run={"estimates": {"memory_bytes": 1e9, "seconds": 120}})
    stage.run("estimate")
    told = read_json(stage.layout.estimate)
    assert (told["memory_bytes"], told["seconds"], told["disk_bytes"]) == (1e9, 120, None)


@pytest.mark.parametrize("dry_run", [None, [], "text", {"memory_bytes": -1}])
def test_without_an_estimate_the_defaults_are_asked_for(stage: Stage, dry_run: object) -> None:
    stage.plan(dry_run=dry_run, dry_run_code=3 if dry_run is None else 0)
    assert stage.run("estimate").returncode == 0
    told = read_json(stage.layout.estimate)
    assert steps.memory_mb(told, 8000) == 8000
    assert steps.disk_mb(told, 20_000) == 20_000
    assert steps.minutes(told, 240, attempt=2) == 480


def test_memory_has_a_margin_that_the_plan_fits_into_and_doubles() -> None:
    told = {"memory_bytes": 1e9}
    asked = [steps.memory_mb(told, 8000, doublings) for doublings in (0, 1, 2)]
    assert asked == [1500, 3000, 6000]
    # What `run` lets somata plan with must not be less than what somata said that it needs.
    assert asked[0] * steps._PLANNED_SHARE >= 1000


def test_memory_grows_only_where_it_was_lacking() -> None:
    tries = [{"code": 143}, {"code": 137}, {"code": None}]
    assert [steps.doublings(tries[:n], n + 1) for n in range(4)] == [0, 0, 1, 2]
    # A call of the workflow begins with what was estimated, and so does a job that was put back into the queue.
    assert steps.doublings(tries, 1) == 0


def test_a_name_that_the_table_does_not_have_is_told(stage: Stage) -> None:
    done = stage.run("run", "--name", "b")
    assert done.returncode == 2
    assert "names no session `b`" in done.stderr
