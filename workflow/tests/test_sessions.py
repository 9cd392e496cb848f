"""The table of sessions."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import TableError, read_table


def written(folder: Path, text: str) -> Path:
    path = folder / "sessions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_those_of_the_tables_folder_and_options_are_words(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "name,kind,path,options,truth\n"
        "# a remark\n\n"
        "a,sort,raw/a.bin,\"--set matching.sweeps=4 --probe 'my probe.json'\",\n"
        "b,image,/elsewhere/b.tif,,b\n",
    )
    sessions = read_table(table)
    assert list(sessions) == ["a", "b"]
    assert sessions["a"].path == tmp_path / "raw/a.bin"
    assert sessions["a"].options == ("--set", "matching.sweeps=4", "--probe", "my probe.json")
    assert sessions["a"].truth is None
    assert sessions["b"].path == Path("/elsewhere/b.tif")
    assert sessions["b"].truth == tmp_path / "b"


def test_a_byte_order_mark_and_left_out_columns_do_no_harm(tmp_path: Path) -> None:
    table = written(tmp_path, "\ufeffkind,name,path\nsort,a,a.bin\n")
    assert read_table(table)["a"].options == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("name,kind,path\n", "names no session"),
        ("name,kind\na,sort\n", "no column `path`"),
        ("name,kind,path,probe\na,sort,b,c\n", "a column `probe`"),
        ("name,kind,path\na b,sort,c\n", "line 2: `a b` is no name"),
        ("name,kind,path\n../a,sort,c\n", "line 2: `../a` is no name"),
        ("name,kind,path\na,segment,c\n", "line 2: the kind is `segment`"),
        ("name,kind,path\na,sort,\n", "line 2: the path is empty"),
        ("name,kind,path\na,sort,b\na,sort,c\n", "line 3: the name `a` is there twice"),
        ("name,kind,path\na,sort,b,c\n", "line 2: 4 values for 3 columns"),
        ("name,kind,path,options\na,sort,b,--out=c\n", "the workflow gives `--out` itself"),
        ('name,kind,path,options\na,sort,b,"--probe \'x"\n', "the options cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(TableError, match=r"sessions\.csv") as told:
        read_table(written(tmp_path, text))
    assert expected in str(told.value)


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "none.csv")
