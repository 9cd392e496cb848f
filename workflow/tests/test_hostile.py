"""Damaged tables of sessions and damaged files of runs: a table is read or refused in one sentence, a report is always made.

SOMATA_HOSTILE_INPUTS says how many inputs are tried; those that are not ASCII text, or lost a part, are among them.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from cohort import csv_text, html_text, row
from layout import Layout
from sessions import Session, TableError, read_table

INPUTS = int(os.environ.get("SOMATA_HOSTILE_INPUTS", "800"))

TABLE = b"""name,kind,path,options,truth
# a comment
mouse1_day1,sort,raw/day1.ap.bin,--set matching.sweeps=4,
mouse1_fov2,image,"raw/fov, 2.tif",--frame-rate 30 --tau '0.7',truth

last,image,movie.tif,,
"""

PIECES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b",", b"\n", b"\r", b"\x1b[2J", b"\\", b"{", b"[" * 3000, b"-1", b"1e999", b"9" * 400,
    b"9" * 5000, b"NaN", b"null", b"true", b"[]", b"{}", b'"\\ud800"', b"<script>", b"../", b"/", b"#", b"a" * 140_000,
)  # fmt: skip


def changed(seed: bytes, source: random.Random) -> bytes:
    """Bytes with a few of them changed, cut, repeated, or exchanged for pieces that mean something."""
    data = bytearray(seed)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        match source.randrange(6):
            case 0 if data:
                data[at % len(data)] = source.randrange(256)
            case 1:
                del data[at : at + source.randint(1, 30)]
            case 2:
                data[at:at] = data[at : at + source.randint(1, 60)]
            case 3:
                data[at : at + source.randint(0, 12)] = source.choice(PIECES)
            case 4 if source.random() < 0.3:
                del data[at:]
            case _:
                data[at:at] = source.choice(PIECES)
    return bytes(data)


def test_a_damaged_table_is_read_or_refused_in_one_sentence(tmp_path: Path) -> None:
    table = tmp_path / "sessions.csv"
    table.write_bytes(TABLE)
    assert list(read_table(table)) == ["mouse1_day1", "mouse1_fov2", "last"]
    n_read = 0
    for number in range(INPUTS):
        table.write_bytes(changed(TABLE, random.Random(number)))
        try:
            sessions = read_table(table)
        except TableError as error:
            assert str(table) in str(error), number
        else:
            n_read += 1
            for name, session in sessions.items():
                assert name == session.name and session.kind in ("sort", "image"), number
                assert "/" not in name and not name.startswith("."), number
    assert 0 < n_read < INPUTS


FILES: dict[str, object] = {
    "status": {"state": "done", "code": 0, "message": "fine"},
    "manifest": {
        "kind": "sort", "seconds": 12.5, "peak_memory_bytes": 345_000_000, "device": "cpu", "n_units": 31, "n_good": 20, "n_spikes": 12345,
        "recording": {"duration_s": 60.0, "n_channels": 64}, "movie": {"n_frames": 100, "frame_rate_hz": 30}, "warnings": ["a"], "somata": "0.1.0",
    },
    "score": {"mean_accuracy": 0.91, "problem": None},
    "attempts": {"started": 1, "process": 2, "code": 0},
}  # fmt: skip


@pytest.mark.parametrize("which", sorted(FILES))
def test_a_report_is_made_of_damaged_files(tmp_path: Path, which: str) -> None:
    layout = Layout(tmp_path, "one")
    paths = {"status": layout.status, "manifest": layout.out / "manifest.json", "score": layout.score, "attempts": layout.attempts}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(FILES[name]) + "\n", encoding="utf-8")
    session = Session("one", "sort", tmp_path, tmp_path / "a.bin", (), tmp_path / "truth")
    assert row(session, tmp_path)["state"] == "done"
    seed = paths[which].read_bytes()
    for number in range(INPUTS // len(FILES)):
        paths[which].write_bytes(changed(seed, random.Random(f"{which} {number}")))
        rows = [row(session, tmp_path)]
        (tmp_path / "cohort.csv").write_text(csv_text(rows), encoding="utf-8")
        page = html_text(rows, tmp_path)
        (tmp_path / "cohort.html").write_text(page, encoding="utf-8")
        assert page.count("<script>") == 1, number
