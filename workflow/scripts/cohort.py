#!/usr/bin/env python3
"""All sessions in one table: a CSV file for programs, and a page for people that needs nothing else.

    cohort.py report --table sessions.csv --results RESULTS     writes cohort.csv and cohort.html
    cohort.py check  --table sessions.csv --results RESULTS     ends with 1 when a session is not done

Everything is taken from what the runs left (status, attempts, manifest, scores), so a report can be made at any time,
also of a cohort that is half done.

`check` removes status and estimate of each failed session, so that the workflow tries it again: the reason
of a failure is mostly repaired where the workflow does not look, for example on a full disk.
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import sys
from pathlib import Path
from typing import Any

from layout import Layout, read_attempts, read_json, write_whole
from sessions import Session, TableError, read_table

#: Columns of the report: name, and what it is.
COLUMNS = {
    "name": "the session",
    "kind": "sort or image",
    "state": "done, failed or waiting",
    "attempts": "how often it was run, all calls of the workflow together",
    "exit_codes": "of these runs, in order; ? where a run is not over or was lost",
    "message": "what is wrong",
    "duration_s": "length of the recording or movie, s",
    "run_s": "seconds of the last run",
    "peak_memory_mb": "of the last run, MB",
    "device": "where it ran",
    "n_channels": "channels of a recording",
    "n_units": "units found",
    "n_good": "of these, labelled good",
    "n_spikes": "spikes of all units",
    "n_cells": "cells found",
    "n_warnings": "warnings in the manifest",
    "mean_accuracy": "of a sort against its truth",
    "f1_active": "of a movie against its truth, cells that fire",
    "f1_all": "the same, all cells",
    "trace_r_median": "correlation of the traces with the true ones",
    "version": "of somata",
}

STATES = ("done", "failed", "waiting")


def row(session: Session, results: Path) -> dict[str, Any]:
    """What is known of one session; a value that is not known is None."""
    layout = Layout(results, session.name)
    status, attempts = read_json(layout.status), read_attempts(layout.attempts)
    manifest, scores = read_json(layout.out / "manifest.json"), read_json(layout.score)
    state, message = status.get("state"), status.get("message") or ""
    if state not in STATES:
        state = "failed" if attempts else "waiting"
        last = attempts[-1] if attempts else {}
        if attempts and last.get("code") is None:
            message = "the last run is not over, or was lost with its node"
        elif attempts:
            message = last.get("message") or f"the last run ended with exit code {last.get('code')}"
    elif state == "done" and not manifest:
        state, message = "failed", "the result is no longer there"
    elif state == "done" and session.truth is not None:
        message = scores.get("problem") or ""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found.update(name=session.name, kind=session.kind, state=state, message=message, attempts=len(attempts))
    found["exit_codes"] = " ".join("?" if one.get("code") is None else str(one["code"]) for one in attempts)
    if state != "done":
        return found
    recording, movie = _part(manifest, "recording"), _part(manifest, "movie")
    found.update(
        duration_s=_duration_s(recording, movie),
        run_s=manifest.get("seconds"),
        peak_memory_mb=_scaled(manifest.get("peak_memory_bytes"), 1e-6),
        device=manifest.get("device"),
        n_channels=recording.get("n_channels"),
        n_warnings=len(warnings) if isinstance(warnings := manifest.get("warnings"), list) else 0,
        version=manifest.get("somata"),
    )
    for name in ("n_units", "n_good", "n_spikes", "n_cells"):
        found[name] = manifest.get(name)
    for name in ("mean_accuracy", "f1_active", "f1_all", "trace_r_median"):
        found[name] = scores.get(name)
    return found


def _part(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    part = manifest.get(name)
    return part if isinstance(part, dict) else {}


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) else None
    except OverflowError:
        return None


def _scaled(value: Any, factor: float) -> float | None:
    number = _number(value)
    return None if number is None else number * factor


def _duration_s(recording: dict[str, Any], movie: dict[str, Any]) -> float | None:
    duration_s = _number(recording.get("duration_s"))
    if duration_s is not None:
        return duration_s
    frames, rate_hz = _number(movie.get("n_frames")), _number(movie.get("frame_rate_hz"))
    return frames / rate_hz if frames is not None and rate_hz is not None and rate_hz > 0 else None


def csv_text(rows: list[dict[str, Any]]) -> str:
    """The table as CSV; a value that is not known is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in rows:
        writer.writerow([_plain(one[name]) for name in COLUMNS])
    return file.getvalue()


def _plain(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    # Half a pair of UTF-16, which JSON can hold and UTF-8 cannot.
    return text.encode("utf-8", "replace").decode("utf-8")


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #1d2430; background: #fff; }
h1 { font-size: 1.3rem; margin: 0 0 .3rem; } p { margin: .2rem 0 1rem; color: #50586a; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e3e6ec; }
th, td { text-align: left; white-space: nowrap; }
td.number { text-align: right; } td.message { white-space: normal; min-width: 20rem; }
th { position: sticky; top: 0; background: #f4f6f9; cursor: pointer; user-select: none; }
tr.failed td { background: #fdecea; } tr.waiting td { background: #fff6e0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e9ef; background: #14181f; } p { color: #9aa4b5; } th { background: #1e242e; }
  th, td { border-color: #2b323e; } a { color: #8ab4f8; }
  tr.failed td { background: #4a2320; } tr.waiting td { background: #463a1c; }
}
"""

# A click on a head sorts by its column, a second one the other way round; rows without a value stay at the end.
_SCRIPT = """
for (const [column, head] of document.querySelectorAll('th').entries()) {
  let up = false;
  head.addEventListener('click', () => {
    up = !up;
    const body = document.querySelector('tbody');
    const value = line => line.cells[column].dataset.value ?? line.cells[column].textContent;
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === '' || y === '') return (x === '') - (y === '');
      const by = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
      return up ? by : -by;
    };
    body.append(...[...body.rows].sort(order));
  });
}
"""


def html_text(rows: list[dict[str, Any]], results: Path) -> str:
    """The table as a page: self-contained, columns that are empty in all rows left out.

    The name of a session whose result has a report of its own leads there.
    """
    shown = [name for name in COLUMNS if any(one[name] not in (None, "") for one in rows)]
    counts = {state: sum(one["state"] == state for one in rows) for state in STATES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>somata: cohort</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{len(rows)} sessions: {html.escape(told)}</h1>",
        "<p>A click on a column's head sorts by it. The same table for programs: cohort.csv.</p>",
        "<table><thead><tr>",
    ]
    lines += [f'<th title="{html.escape(COLUMNS[name])}">{html.escape(name)}</th>' for name in shown]
    lines.append("</tr></thead><tbody>")
    for one in rows:
        cells = "".join(_cell(name, one[name]) for name in shown)
        report = Layout(results, one["name"]).out / "report.html"
        if report.is_file():
            # Names have no sign that means something in HTML or in an address.
            link = f'<a href="{report.relative_to(results).as_posix()}">{one["name"]}</a>'
            cells = cells.replace(f"<td>{one['name']}</td>", f"<td>{link}</td>", 1)
        lines.append(f'<tr class="{html.escape(one["state"])}">{cells}</tr>')
    lines.append(f"</tbody></table><script>{_SCRIPT}</script></body></html>")
    return "\n".join(lines) + "\n"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        text = f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
        return f'<td class="number" data-value="{value}">{text}</td>'
    kind = ' class="message"' if name == "message" else ""
    return f"<td{kind}>{html.escape(_plain(value))}</td>"


def check(rows: list[dict[str, Any]], results: Path) -> str | None:
    """A sentence on the sessions that are not done; None when all are."""
    bad = [one for one in rows if one["state"] != "done"]
    if not bad:
        return None
    for one in bad:
        layout = Layout(results, one["name"])
        for file in (layout.status, layout.estimate):
            file.unlink(missing_ok=True)
    lines = [f"error: {len(bad)} of {len(rows)} sessions are not done"]
    lines += [f"    {one['name']}: {one['state']}: {one['message'] or 'it was not run'}" for one in bad]
    lines += ["", "hint: repair what is wrong and start the workflow again; sessions that are done stay as they are"]
    return "\n".join(lines)


def main() -> int:
    """Reads the command line, and reports or checks."""
    parser = argparse.ArgumentParser(description="All sessions in one table.")
    parser.add_argument("action", choices=("report", "check"))
    parser.add_argument("--table", required=True, type=Path, help="CSV file with the sessions")
    parser.add_argument("--results", required=True, type=Path, help="folder of all results")
    options = parser.parse_args()
    try:
        sessions = read_table(options.table)
    except TableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = [row(session, options.results) for session in sessions.values()]
    if options.action == "report":
        write_whole(options.results / "cohort.csv", csv_text(rows))
        write_whole(options.results / "cohort.html", html_text(rows, options.results))
        return 0
    problem = check(rows, options.results)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
