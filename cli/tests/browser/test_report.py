"""Reports in a real browser: they load without an error and without a network, tables sort and filter, a click shows what it names.

    SOMATA_BINARY=target/release/somata python -m pytest cli/tests/browser

Without a Chromium the tests are skipped, unless SOMATA_REQUIRE_BROWSER=1. SOMATA_DEMO names a folder that `somata demo --out` made, so that
it is not made again; SOMATA_PICTURES a folder for pictures of the pages.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from browser import Browser, find_browser

BROWSER = find_browser()
if BROWSER is None and os.environ.get("SOMATA_REQUIRE_BROWSER") == "1":
    raise RuntimeError("SOMATA_REQUIRE_BROWSER is set, but there is no Chromium")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium was found; SOMATA_BROWSER names one")

SOMATA = os.environ.get("SOMATA_BINARY", "somata")
# On a loaded machine the same page takes several times as long.
LOAD_S = float(os.environ.get("SOMATA_LOAD_S", "10"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Results of the demo."""
    given = os.environ.get("SOMATA_DEMO")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("demo") / "demo"
    subprocess.run([SOMATA, "demo", "--out", folder, "--device", "cpu", "--seconds", "15", "--frames", "400", "--quiet"], check=True)
    return folder


@pytest.fixture
def page(request):
    """A browser, which must not have complained in the end."""
    with Browser(BROWSER, dark=getattr(request, "param", False)) as browser:
        yield browser
        assert browser.problems == []
        # The page itself, and pictures that are in it.
        assert [url for url in browser.requests if not url.startswith(("file:", "data:", "about:"))] == []


def picture(page, name):
    folder = os.environ.get("SOMATA_PICTURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(Path(folder) / f"{name}.png")


def block(page, name):
    return json.loads(page.run(f"document.getElementById('data-{name}').textContent"))


def column(page, section, k):
    """Text of a column of the rows that a table shows."""
    return page.run(f"[...document.querySelectorAll('{section} tbody tr[data-id]')].map((r) => r.children[{k}].textContent)")


def painted(page, selector, index=0):
    """Share of the pixels of a drawing that are not empty."""
    return page.run(
        f"(() => {{ const c = document.querySelectorAll({json.dumps(selector)})[{index}];"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        " for (let k = 3; k < d.length; k += 4) if (d[k]) n++; return n / (d.length / 4); })()"
    )


@pytest.mark.parametrize("page", [False, True], indirect=True, ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["sorting", "imaging"])
def test_a_report_loads_and_draws(page, demo, kind, request):
    seconds = page.open(demo / kind / "report.html")
    assert seconds < LOAD_S
    dark = page.run("document.documentElement.dataset.theme") == "dark"
    assert dark == ("dark" in request.node.name)
    n = page.run("document.querySelectorAll('canvas').length")
    assert n > 8
    for k in range(n):
        assert painted(page, "canvas", k) > 0.001, f"drawing {k} is empty"
    # Every drawing says what it shows.
    assert page.run("[...document.querySelectorAll('main canvas')].every((c) => c.getAttribute('aria-label'))")
    # Nothing is wider than the window.
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")
    picture(page, f"{kind}-{'dark' if dark else 'light'}")


@pytest.mark.parametrize("kind", ["sorting", "imaging"])
def test_a_switch_changes_the_theme_and_a_narrow_window_holds_everything(page, demo, kind):
    page.open(demo / kind / "report.html")
    before = page.run("getComputedStyle(document.body).backgroundColor")
    page.click_on("button.theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != before
    page.call("Emulation.setDeviceMetricsOverride", width=420, height=900, deviceScaleFactor=1, mobile=False)
    page.settle()
    assert page.run("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_table_of_units_sorts_and_filters(page, demo):
    page.open(demo / "sorting" / "report.html")
    units = block(page, "units")
    # A table draws the rows that are in sight; with those of the demo these are nearly all.
    in_sight = len(column(page, "#units", 0))
    assert min(len(units), 20) <= in_sight <= len(units)
    page.click_on("#units th", 0)
    ids = [int(text) for text in column(page, "#units", 0)]
    assert ids == sorted(ids, reverse=ids[0] > ids[-1])
    titles = page.run("[...document.querySelectorAll('#units th')].map((h) => h.textContent)")
    at = next(k for k, title in enumerate(titles) if title.startswith("SNR"))
    page.click_on("#units th", at)
    assert page.run(f"document.querySelectorAll('#units th')[{at}].getAttribute('aria-sort')") == "descending"
    order = [units[int(text)]["metrics"]["snr"] for text in column(page, "#units", 0)]
    assert order == sorted(order, reverse=True)

    page.type_into("#units .filter", "label=good snr>5")
    wanted = [u["unit_id"] for u in units if u["label"] == "good" and u["metrics"]["snr"] > 5]
    assert 0 < len(wanted) < len(units)
    shown = [int(text) for text in column(page, "#units", 0)]
    assert set(shown) <= set(wanted) and len(shown) == min(len(wanted), in_sight)
    assert page.run("document.querySelector('#units .tools .right').textContent") == f"{len(wanted)} of {len(units)} units"
    page.type_into("#units .filter", "nonsense>5")
    assert "there is no column nonsense" in page.run("document.querySelector('#units .tools .right').textContent")
    page.type_into("#units .filter", "")
    assert len(column(page, "#units", 0)) == in_sight


def test_a_click_on_a_row_or_in_the_map_shows_the_unit(page, demo):
    page.open(demo / "sorting" / "report.html")
    units = block(page, "units")
    page.click_on("#units tbody tr[data-id='0']")
    assert page.run("document.querySelector('#unit-head .name').textContent") == "Unit 0"
    assert page.run("document.querySelector('#units tr[aria-selected=true]').dataset.id") == "0"
    waveform = page.run("document.querySelector('#units .unit-top canvas').toDataURL()")
    page.click_on("#units tbody tr[data-id='1']")
    assert page.run("document.querySelector('#unit-head .name').textContent") == "Unit 1"
    assert page.run("document.querySelector('#units .unit-top canvas').toDataURL()") != waveform
    assert page.run("location.hash") == "#1"
    # The arrow keys go on from there.
    page.run("document.querySelector('#units .table').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowDown")
    page.settle()
    assert page.run("document.querySelector('#unit-head .name').textContent") != "Unit 1"

    # The disc of a unit in the map, at its place.
    page.run("document.querySelector('#probe canvas').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = page.run("(() => { const b = document.querySelector('#probe canvas').getBoundingClientRect(); return [b.left, b.top]; })()")
    want = max(units, key=lambda u: abs(u["peak_uv"]))
    x, y = page.run(f"(() => {{ const [x, y] = [{want['x_um']}, {want['y_um']}]; const p = plots.get(document.querySelector('#probe canvas')); return [p.X(x), p.Y(y)]; }})()")
    page.click(box[0] + x, box[1] + y)
    shown = int(page.run("document.querySelector('#unit-head .name').textContent").split()[1])
    # Discs may lie over each other: the one that is shown is as near.
    gap = abs(units[shown]["x_um"] - want["x_um"]) + abs(units[shown]["y_um"] - want["y_um"])
    assert shown == want["unit_id"] or gap < 2


def test_the_drift_map_shows_depths_before_and_after(page, demo):
    page.open(demo / "sorting" / "report.html")
    motion = block(page, "motion")
    assert motion["corrected"]
    after = page.run("document.querySelectorAll('#probe canvas')[1].toDataURL()")
    page.click_on("#probe button[data-value=before]")
    assert page.run("document.querySelectorAll('#probe canvas')[1].toDataURL()") != after


def test_a_click_in_the_field_or_table_shows_the_cell(page, demo):
    page.open(demo / "imaging" / "report.html")
    cells = block(page, "cells")
    ids = [int(text) for text in column(page, "#table", 0)]
    page.click_on("#table tbody tr[data-id]", 2)
    assert page.run("document.querySelector('#cell-head .name').textContent") == f"Cell {ids[2]}"

    movie = block(page, "movie")
    target = max(cells, key=lambda c: c["area_px"])
    run = target["runs"]
    longest = max(range(0, len(run), 3), key=lambda k: run[k + 2])
    y, x = run[longest] + 0.5, run[longest + 1] + run[longest + 2] / 2
    page.run("document.querySelector('.field canvas').scrollIntoView({block: 'start', behavior: 'instant'}); window.scrollBy(0, -80)")
    page.settle()
    left, top, wide, tall = page.run("(() => { const b = document.querySelector('.field canvas').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()")
    fit = min(wide / movie["width"], tall / movie["height"])
    page.click(left + (wide - movie["width"] * fit) / 2 + x * fit, top + y * fit)
    shown = int(page.run("document.querySelector('#cell-head .name').textContent").split()[1])
    body = {(r, c) for k in range(0, len(cells[shown]["runs"]), 3) for r, first, n in [cells[shown]["runs"][k:k + 3]] for c in range(first, first + n)}
    assert (int(y), int(x)) in body

    page.type_into("#table .filter", "trace_snr>5 probability>=0.5")
    wanted = {c["cell"] for c in cells if c["trace_snr"] > 5 and c["probability"] >= 0.5}
    assert {int(text) for text in column(page, "#table", 0)} == wanted


def test_a_page_with_an_address_shows_what_it_names(page, demo):
    page.open(demo / "sorting" / "report.html", "#3")
    assert page.run("document.querySelector('#unit-head .name').textContent") == "Unit 3"


@pytest.mark.parametrize("kind", ["sorting", "imaging"])
def test_a_report_prints(page, demo, kind, tmp_path):
    page.open(demo / kind / "report.html")
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    folder = os.environ.get("SOMATA_PICTURES")
    if folder:
        page.pdf(Path(folder) / f"{kind}.pdf")


def test_names_of_files_are_text(page, demo, tmp_path):
    """The page of a recording whose name is markup: nothing of it runs, and it is shown as it is."""
    name = "<img src=x onerror=\"document.title='broken in'\"><b>bold"
    recording = tmp_path / name
    subprocess.run([SOMATA, "simulate", "recording", recording, "--kind", "tetrode", "--seconds", "4"], check=True, capture_output=True)
    out = tmp_path / "out"
    subprocess.run([SOMATA, "sort", recording, "--out", out, "--device", "cpu", "--set", "clustering.min_spikes=15", "--quiet"], check=True)
    page.open(out / "report.html")
    assert page.run("document.querySelector('h1').textContent") == name
    assert page.run("document.querySelectorAll('img, b').length") == 0
    assert page.run("document.title").startswith(name)
