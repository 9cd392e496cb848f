"""A small recording and a small movie, simulated once, and a sort and an imaging run that most tests look at."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import somata


def pytest_report_header() -> str:
    try:
        return f"somata: {somata.program()}, version {somata.program_version()}"
    except somata.SomataNotFoundError as error:
        if os.environ.get("SOMATA_REQUIRE_BINARY"):
            raise
        return f"somata: {error.message}; all tests that run it are skipped"


@pytest.fixture(scope="session")
def binary() -> Path:
    try:
        return somata.program()
    except somata.SomataNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def recording_folder(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "recording"
    somata.run(
        *("simulate", "recording", folder, "--kind", "static", "--channels", "32"),
        *("--units", "10", "--seconds", "15", "--seed", "8"),
    )
    return folder


@pytest.fixture(scope="session")
def samples(recording_folder: Path) -> np.ndarray:
    return np.fromfile(recording_folder / "recording.bin", np.int16).reshape(-1, 32)


@pytest.fixture(scope="session")
def positions_um(recording_folder: Path) -> np.ndarray:
    import json

    probe = json.loads((recording_folder / "probe.json").read_text())["probes"][0]
    return np.array(probe["contact_positions"])[np.argsort(probe["device_channel_indices"])]


@pytest.fixture(scope="session")
def sorted_folder(recording_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sorted") / "sorted"
    somata.sort(recording_folder, out, device="cpu", progress=False)
    return out


@pytest.fixture(scope="session")
def movie_folder(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movies") / "movie"
    somata.run("simulate", "movie", folder, "--kind", "small", "--frames", "300", "--seed", "5")
    return folder


@pytest.fixture(scope="session")
def imaged_folder(movie_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imaged") / "imaged"
    somata.image(movie_folder / "movie.tif", out, frame_rate_hz=30, device="cpu", progress=False)
    return out
