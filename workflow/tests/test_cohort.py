"""The report on all sessions."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import SCRIPTS
from layout import Layout, write_json


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three sessions: one done and scored, one failed, one not yet run."""
    (tmp_path / "sessions.csv").write_text("name,kind,path,truth\ngood,sort,a,a\nbad,sort,b,\nlater,image,c,\n")
    good, bad = (Layout(tmp_path / "results", name) for name in ("good", "bad"))
    good.out.mkdir(parents=True)
    recording = {"duration_s": 60.0, "n_channels": 64}
    manifest = {"kind": "sort", "seconds": 12.3456789, "peak_memory_bytes": 345_000_000, "device": "cpu", "n_units": 31}
    manifest |= {"recording": recording, "n_good": 20, "n_spikes": 12345, "warnings": ["a"], "somata": "0.1.0"}
    write_json(good.out / "manifest.json", manifest)
    write_json(good.status, {"state": "done", "code": 0})
    write_json(good.score, {"mean_accuracy": 0.91, "problem": None})
    write_json(bad.status, {"state": "failed", "code": 3, "message": "`b` is <truncated> & short"})
    for layout, codes in ((good, (137, None, 0)), (bad, (3,))):
        layout.attempts.parent.mkdir(exist_ok=True)
        lines = [json.dumps({"started": n, "process": 1, "code": code}) for n, code in enumerate(codes)]
        layout.attempts.write_text("\n".join(lines) + '\n{"cut o')
    return tmp_path


def run(action: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "cohort.py"), action, "--table", "sessions.csv", "--results", "results"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_table_tells_what_was_found_and_what_went_wrong(cohort: Path) -> None:
    assert run("report", cohort).returncode == 0
    rows = {row["name"]: row for row in csv.DictReader((cohort / "results/cohort.csv").open(encoding="utf-8"))}
    good, bad, later = rows["good"], rows["bad"], rows["later"]
    assert (good["state"], good["attempts"], good["exit_codes"]) == ("done", "3", "137 ? 0")
    assert (good["n_units"], good["run_s"], good["peak_memory_mb"]) == ("31", "12.3457", "345")
    assert (good["mean_accuracy"], good["n_warnings"], good["n_cells"]) == ("0.91", "1", "")
    assert (bad["state"], bad["message"]) == ("failed", "`b` is <truncated> & short")
    assert (later["state"], later["attempts"]) == ("waiting", "0")


def test_the_page_needs_nothing_else_and_shows_text_as_text(cohort: Path) -> None:
    (cohort / "results/sessions/good/report.html").touch()
    run("report", cohort)
    page = (cohort / "results/cohort.html").read_text(encoding="utf-8")
    assert not re.search(r"src\s*=|url\(|@import|//[a-z]", page)
    assert re.findall(r'href\s*=\s*"(.*?)"', page) == ["sessions/good/report.html"]
    assert "<truncated>" not in page

    texts: list[str] = []

    class Cells(HTMLParser):
        def handle_data(self, data: str) -> None:
            texts.append(data)

    parser = Cells()
    parser.feed(page)
    assert "`b` is <truncated> & short" in texts
    assert "3 sessions: 1 done, 1 failed, 1 waiting" in texts
    assert "n_cells" not in texts  # empty in all rows


def test_the_check_names_what_is_not_done_and_has_it_tried_again(cohort: Path) -> None:
    write_json(Layout(cohort / "results", "bad").estimate, {"memory_bytes": None})
    done = run("check", cohort)
    assert done.returncode == 1
    assert "2 of 3 sessions are not done" in done.stderr
    assert "bad: failed: `b` is <truncated> & short" in done.stderr
    assert not Layout(cohort / "results", "bad").status.exists()
    assert not Layout(cohort / "results", "bad").estimate.exists()
    assert Layout(cohort / "results", "good").status.exists()


def test_a_result_that_is_gone_is_not_done(cohort: Path) -> None:
    (cohort / "results/sessions/good/manifest.json").unlink()
    assert "good: failed: the result is no longer there" in run("check", cohort).stderr
