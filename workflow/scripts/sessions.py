"""The table of sessions: what is to be processed, one row a session.

    name,kind,path,options,truth
    mouse1_day1,sort,raw/day1.ap.bin,--set matching.sweeps=4,
    mouse1_fov2,image,raw/fov2.tif,--frame-rate 30,

`name` is the name of the result's folder. `kind` is the command: `sort` or `image`. Paths, also those among the
options, are relative to the folder of the table. `options` are written as on the command line. `truth` is a simulated
recording or movie whose result is to be scored; mostly empty. Empty rows and rows that begin with `#` are left out.

Only the standard library is used here, so that the scripts run under any Python that a workflow manager has.
"""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

KINDS = ("sort", "image")
COLUMNS = ("name", "kind", "path", "options", "truth")
_NEEDED = COLUMNS[:3]

# The name becomes a folder, a wildcard of Snakemake and a word in a shell.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: Options that the workflow gives itself.
RESERVED = (
    *("--out", "-o", "--work", "--keep-work", "--dry-run", "--force", "--threads"),
    *("--memory", "--json", "--events", "--quiet", "-q"),
)


class TableError(Exception):
    """The table cannot be used; the text says where and what to do."""


@dataclass(frozen=True)
class Session:
    """One row of the table.

    `path` and `truth` are absolute; `folder` is the table's, to which paths among the options are relative.
    """

    name: str
    kind: str
    folder: Path
    path: Path
    options: tuple[str, ...] = ()
    truth: Path | None = None


def read_table(table: str | Path) -> dict[str, Session]:
    """Sessions by name, in the order of the table.

    Raises:
        TableError: when the file cannot be read or a row is wrong.
    """
    table = Path(table)
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"the table of sessions `{table}` cannot be read: {error}") from None
    try:
        lines = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise TableError(f"the table of sessions `{table}` is no CSV file: {error}") from None
    rows = [(number, row) for number, row in enumerate(lines, 1) if _holds_something(row)]
    if not rows:
        raise TableError(f"the table of sessions `{table}` is empty; its first row is `{','.join(COLUMNS)}`")
    header = [name.strip() for name in rows[0][1]]
    for name in _NEEDED:
        if name not in header:
            raise TableError(f"`{table}` has no column `{name}`; its first row is `{','.join(COLUMNS)}`")
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise TableError(f"`{table}` has a column `{unknown[0]}`; known are {', '.join(COLUMNS)}")
    sessions: dict[str, Session] = {}
    for number, row in rows[1:]:
        where = f"`{table}`, line {number}"
        if len(row) > len(header):
            raise TableError(f"{where}: {len(row)} values for {len(header)} columns; quote a value that has a comma")
        fields = {name: value.strip() for name, value in zip(header, row, strict=False)}
        session = _session(fields, table.resolve().parent, where)
        if session.name in sessions:
            raise TableError(f"{where}: the name `{session.name}` is there twice")
        sessions[session.name] = session
    if not sessions:
        raise TableError(f"`{table}` names no session")
    return sessions


def _holds_something(row: list[str]) -> bool:
    return any(value.strip() for value in row) and not row[0].lstrip().startswith("#")


def _session(fields: dict[str, str], folder: Path, where: str) -> Session:
    name, kind, path = (fields.get(column, "") for column in _NEEDED)
    if not _NAME.fullmatch(name):
        raise TableError(f"{where}: `{name}` is no name of a session; use letters, digits, `.`, `_` and `-`")
    if kind not in KINDS:
        raise TableError(f"{where}: the kind is `{kind}`; it must be {' or '.join(KINDS)}")
    if not path:
        raise TableError(f"{where}: the path is empty")
    try:
        options = tuple(shlex.split(fields.get("options", "")))
    except ValueError as error:
        raise TableError(f"{where}: the options cannot be read: {error}") from None
    for option in options:
        if option.split("=", 1)[0] in RESERVED:
            raise TableError(f"{where}: the workflow gives `{option.split('=', 1)[0]}` itself; leave it out")
    truth = fields.get("truth", "")
    return Session(name, kind, folder, folder / path, options, folder / truth if truth else None)
