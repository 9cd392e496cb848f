"""Finding the program, its exit codes, its files, and the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import somata
from somata import _files, errors

PYTHON = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, somata.SomataBug),
        (2, somata.SomataUsageError),
        (3, somata.SomataInputError),
        (4, somata.SomataOutputError),
        (5, somata.SomataDeviceError),
        (101, somata.SomataBug),
        (130, somata.SomataStopped),
        (137, somata.SomataMemoryError),
        (143, somata.SomataStopped),
    ],
)
def test_every_exit_code_has_its_exception(code: int, kind: type[somata.SomataError]) -> None:
    error = errors.error_from_exit(code, "warning: x\nerror: `a` is wrong\n\nhint: give `b`\n")
    assert type(error) is kind and isinstance(error, somata.SomataError)
    assert (error.message, error.hint, error.code) == ("`a` is wrong", "give `b`", code)
    assert str(error) == "`a` is wrong\n\nhint: give `b`"


def test_a_killed_program_is_out_of_memory_and_the_parsers_tip_is_a_hint() -> None:
    killed = errors.error_from_exit(-9, "")
    assert isinstance(killed, MemoryError) and killed.code == 137 and "memory" in killed.hint
    usage = errors.error_from_exit(
        2, "error: unexpected argument '--sett' found\n\n  tip: a similar argument exists: '--set'\n\nUsage: x\n"
    )
    assert usage.message == "unexpected argument '--sett' found"
    assert usage.hint == "a similar argument exists: '--set'"


def test_a_named_program_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOMATA_BINARY", str(tmp_path / "somata"))
    with pytest.raises(somata.SomataNotFoundError, match="SOMATA_BINARY"):
        somata.program()


def test_parameters_are_those_of_the_program(binary: Path) -> None:
    sweeps = somata.parameters("sort")["matching.sweeps"]
    assert isinstance(sweeps.default, int) and sweeps.minimum is not None and sweeps.help
    assert isinstance(somata.parameters("sort")["motion.correct"].default, bool)
    assert "segmentation.diameter_px" in somata.parameters("image")


def test_a_table_keeps_whole_numbers_gaps_and_text_apart(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('id,value,name\n0,1.5,"a, b"\n1,,c\n')
    table = _files.read_table(path)
    assert table["id"].dtype == np.int64 and table["name"].tolist() == ["a, b", "c"]
    assert table["value"][0] == 1.5 and np.isnan(table["value"][1])
    path.write_text("id,value\n")
    assert {name: len(column) for name, column in _files.read_table(path).items()} == {"id": 0, "value": 0}


def test_other_tiffs_and_archives_are_refused_and_not_misread(tmp_path: Path) -> None:
    tiff = tmp_path / "other.tif"
    for data in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"no tiff at all"):
        tiff.write_bytes(data)
        with pytest.raises(somata.SomataInputError, match="not a TIFF"):
            _files.read_tiff(tiff)
    archive = tmp_path / "other.npz"
    np.savez_compressed(archive, a=np.arange(3))
    with pytest.raises(somata.SomataInputError, match="compressed"):
        _files.map_npz(archive)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="build_wheel.py needs Python 3.11")
def test_the_wheel_installs_and_its_command_is_the_program(binary: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, PYTHON / "build_wheel.py", "--binary", binary, "--out", tmp_path], check=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-" in wheel.name and "none-any" not in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel]
    done = subprocess.run(pip, capture_output=True, text=True)
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed")
    assert done.returncode == 0, done.stderr
    environment = {name: value for name, value in os.environ.items() if name != "SOMATA_BINARY"}
    environment["PYTHONPATH"] = str(target)
    code = "import somata; print(somata.program()); print(somata.program_version())"
    lines = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    path, version = lines.stdout.splitlines()
    assert Path(path).is_relative_to(target) and version == somata.__version__
    command = target / "bin/somata"
    if command.exists():
        shown = subprocess.run([command, "--version"], env=environment, capture_output=True, text=True, check=True)
        assert shown.stdout.split() == ["somata", somata.__version__]
