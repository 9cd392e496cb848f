"""Reports in a real browser: they load without an error and without a network, tables sort and filter, a click shows what it names.

    SOMATA_BINARY=target/release/somata python -m pytest cli/tests/browser

Without a Chromium the tests are skipped, unless SOMATA_REQUIRE_BROWSER=1. SOMATA_DEMO names a folder that `somata demo --out` made, so that
it is not made again; SOMATA_PICTURES a folder for pictures of the pages.
"""

import json
import os
import subprocess
import sys
from array import array
from pathlib import Path
from random import Random

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


@pytest.fixture(scope="session")
def two_shanks(tmp_path_factory):
    """The result of a probe of two shanks."""
    folder = tmp_path_factory.mktemp("shanks")
    recording = folder / "recording"
    subprocess.run([SOMATA, "simulate", "recording", recording, "--kind", "two-shank", "--channels", "16", "--units", "8", "--seconds", "12"], check=True, capture_output=True)
    subprocess.run([SOMATA, "sort", recording, "--out", folder / "out", "--device", "cpu", "--set", "clustering.min_spikes=15", "--quiet"], check=True)
    return folder / "out"


@pytest.fixture(scope="session")
def two_channels(tmp_path_factory):
    """The result of a movie whose second channel shows one cell of two."""
    folder = tmp_path_factory.mktemp("channels")
    side, n_frames, random = 48, 240, Random(1)
    pixels = array("h")
    bodies = [{(y, x) for y in range(side) for x in range(side) if (y - row) ** 2 + (x - column) ** 2 < 20} for row, column in [(14, 14), (32, 30)]]
    for frame in range(n_frames):
        light = [400 * max(0.2, 0.93 ** ((frame + 40 * k) % 80)) for k in range(2)]
        for brightness in [light, [600, 30]]:
            for y in range(side):
                for x in range(side):
                    pixels.append(int(100 + sum(b for b, body in zip(brightness, bodies) if (y, x) in body) + random.gauss(0, 6)))
    (folder / "movie.bin").write_bytes(pixels.tobytes())
    options = ["--height", str(side), "--width", str(side), "--dtype", "int16", "--n-channels", "2", "--frame-rate", "30"]
    subprocess.run([SOMATA, "image", folder / "movie.bin", "--out", folder / "out", "--device", "cpu", "--quiet", *options], check=True)
    return folder / "out"


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


def place(page, selector, index=0):
    """Scrolls to a drawing; gives its place in the window and the area of its axes."""
    page.run(f"document.querySelectorAll('{selector}')[{index}].scrollIntoView({{block: 'center', behavior: 'instant'}})")
    page.settle()
    return page.run(
        f"(() => {{ const c = document.querySelectorAll('{selector}')[{index}]; const b = c.getBoundingClientRect(); const a = plots.get(c).area;"
        " return {left: b.left + a.left, top: b.top + a.top, width: a.width, height: a.height}; })()"
    )


def seen(page, selector, index=0):
    """The parts of the axes that a drawing shows."""
    return page.run(f"(() => {{ const p = plots.get(document.querySelectorAll('{selector}')[{index}]); return [p.x.domain, p.y.domain]; }})()")


@pytest.mark.parametrize(
    "kind, selector, index, axes",
    [("sorting", "#probe canvas", 1, "xy"), ("sorting", "#activity canvas", 1, "x"), ("sorting", "#activity canvas", 0, "x"), ("imaging", "#traces canvas", 0, "x"), ("imaging", "#motion canvas", 0, "x")],
    ids=["drift", "raster", "rates", "traces", "motion"],
)
def test_drawings_are_looked_at_closely_by_wheel_drag_and_keys(page, demo, kind, selector, index, axes):
    page.open(demo / kind / "report.html")
    box = place(page, selector, index)
    full = page.run(f"(() => {{ const z = plots.get(document.querySelectorAll('{selector}')[{index}]).zoom; z.reset(); return [z.full.x, z.full.y]; }})()")
    page.settle()
    assert seen(page, selector, index) == full
    # Events of the mouse are told in whole pixels.
    at = (int(box["left"] + box["width"] * 0.25), int(box["top"] + box["height"] * 0.5))
    share = (at[0] - box["left"]) / box["width"]
    x = full[0][0] + (full[0][1] - full[0][0]) * share
    page.wheel(*at, -240)
    [x0, x1], [y0, y1] = seen(page, selector, index)
    assert x1 - x0 < 0.7 * (full[0][1] - full[0][0])
    # What is under the pointer stays there.
    assert abs(x0 + (x1 - x0) * share - x) < 1e-6 * (full[0][1] - full[0][0])
    assert (y1 - y0 < 0.7 * (full[1][1] - full[1][0])) == ("y" in axes)
    chosen = page.run("chosen.id")
    page.drag(at, (at[0] - 60, at[1]))
    [moved, _], _ = seen(page, selector, index)
    assert abs(moved - (x0 + (x1 - x0) * 60 / box["width"])) < 1e-6 * (full[0][1] - full[0][0])
    assert page.run("chosen.id") == chosen, "a drag is not a click"
    # Keys, where the focus is, which can be seen.
    page.run(f"document.querySelectorAll('{selector}')[{index}].focus()")
    page.press("+")
    [a, b], _ = seen(page, selector, index)
    assert b - a < 0.8 * (x1 - x0)
    assert page.run(f"getComputedStyle(document.querySelectorAll('{selector}')[{index}]).outlineStyle") == "solid"
    page.press("ArrowRight")
    assert seen(page, selector, index)[0][0] > a
    page.press("-")
    assert seen(page, selector, index)[0][1] - seen(page, selector, index)[0][0] > 1.4 * (b - a)
    page.press("0")
    assert seen(page, selector, index) == full
    # Buttons, and the end of the way: there the page scrolls on.
    page.run(f"document.querySelectorAll('{selector}')[{index}].parentElement.querySelector('.zoom button:nth-child(2)').click()")
    page.settle()
    assert seen(page, selector, index) != full
    page.run(f"document.querySelectorAll('{selector}')[{index}].parentElement.querySelector('.zoom button:nth-child(3)').click()")
    page.settle()
    assert seen(page, selector, index) == full
    before = page.run("window.scrollY")
    page.wheel(*at, 200)
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert page.run("window.scrollY") != before


def test_a_click_on_a_spike_and_the_arrow_keys_choose_units(page, demo):
    page.open(demo / "sorting" / "report.html", "#0")
    box = place(page, "#probe canvas", 1)
    spot = page.run(
        "(() => { const p = plots.get(document.querySelectorAll('#probe canvas')[1]); const row = p.options.needs.row(0); const k = row.unit.findIndex((u) => u === 5);"
        " const about = JSON.parse(document.getElementById('data-drift-about').textContent); const [low, high] = about.depth_um;"
        " return [p.X(row.time[k] / 65535 * p.x.domain[1]), p.Y(low + row.depth[k] / 65535 * (high - low))]; })()"
    )
    area = page.run("plots.get(document.querySelectorAll('#probe canvas')[1]).area")
    page.click(box["left"] - area["left"] + spot[0], box["top"] - area["top"] + spot[1])
    assert page.run("chosen.id") != 0
    # In the map of the probe up is up.
    units = block(page, "units")
    place(page, "#probe canvas", 0)
    page.run("document.querySelector('#probe canvas').focus()")
    before = page.run("chosen.id")
    page.press("ArrowDown")
    after = page.run("chosen.id")
    assert after != before and units[after]["y_um"] < units[before]["y_um"]
    # In the raster the next row.
    page.run("document.querySelectorAll('#activity canvas')[1].focus()")
    page.press("ArrowUp")
    order = sorted(units, key=lambda u: (u["shank"], u["y_um"]))
    rank = next(k for k, u in enumerate(order) if u["unit_id"] == after)
    assert page.run("chosen.id") == order[rank + 1]["unit_id"]


def test_the_drift_map_shows_a_shank_at_a_time(page, two_shanks):
    page.open(two_shanks / "report.html")
    units = block(page, "units")
    assert {u["shank"] for u in units} == {0, 1}
    pressed = "document.querySelector('#probe [aria-label=shank] [aria-pressed=true]').dataset.value"
    drawing = "document.querySelectorAll('#probe canvas')[1].toDataURL()"
    assert page.run(pressed) == str(units[page.run("chosen.id")]["shank"])
    pictures = set()
    for value in ["0", "1", "all"]:
        page.click_on(f"#probe button[data-value='{value}']")
        assert page.run(pressed) == value
        pictures.add(page.run(drawing))
    assert len(pictures) == 3
    # The map goes to the shank of the unit that is chosen.
    for shank in [1, 0]:
        page.click_on("#probe button[data-value='0']")
        page.run(f"choose({next(u['unit_id'] for u in units if u['shank'] == shank)})")
        page.settle()
        assert page.run(pressed) == str(shank)
    picture(page, "shanks")


def test_a_second_channel_is_seen_in_the_field_the_table_and_the_cell(page, two_channels):
    page.open(two_channels / "report.html")
    cells = block(page, "cells")
    labelled = [c for c in cells if c["second_probability"] > 0.65]
    assert labelled and len(labelled) < len(cells)
    before = page.run("document.querySelector('.field canvas').toDataURL()")
    page.click_on(".field-and-cell button[data-value=second]")
    assert page.run("document.querySelector('.field canvas').toDataURL()") != before
    page.type_into("#table .filter", "second_probability>0.65")
    assert {int(text) for text in column(page, "#table", 0)} == {c["cell"] for c in labelled}
    page.run(f"choose({labelled[0]['cell']})")
    page.settle()
    assert "labelled in the second channel" in page.run("document.querySelector('#cell-head').textContent")
    assert "The same in the second channel" in page.run("[...document.querySelectorAll('h3')].map((h) => h.textContent).join()")
    other = next(c["cell"] for c in cells if c["second_probability"] < 0.65)
    page.run(f"choose({other})")
    page.settle()
    assert "labelled" not in page.run("document.querySelector('#cell-head').textContent")
    picture(page, "second-channel")


def test_a_page_that_was_cut_off_says_so_and_shows_the_rest(page, demo, tmp_path):
    html = (demo / "sorting" / "report.html").read_bytes()
    cut = html.index(b'id="data-unit-rows"') + 2000
    (tmp_path / "cut.html").write_bytes(html[:cut])
    page.open(tmp_path / "cut.html")
    assert "The end of this file is missing" in page.run("document.querySelector('.warnings').textContent")
    assert page.run("document.querySelector('#unit-head .name').textContent").startswith("Unit")
    assert painted(page, "#probe canvas", 1) > 0.001


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
    page.run("location.hash = '#2'; new Promise((done) => setTimeout(done, 100))")
    page.settle()
    assert page.run("document.querySelector('#unit-head .name').textContent") == "Unit 2"


@pytest.mark.parametrize("kind", ["sorting", "imaging"])
def test_a_report_prints(page, demo, kind, tmp_path):
    page.open(demo / kind / "report.html")
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    folder = os.environ.get("SOMATA_PICTURES")
    if folder:
        page.pdf(Path(folder) / f"{kind}.pdf")


@pytest.fixture(scope="session")
def large(demo, tmp_path_factory):
    """Pages as large as they get."""
    pytest.importorskip("numpy", reason="large pages are made with numpy")
    folder = tmp_path_factory.mktemp("large")
    subprocess.run([sys.executable, Path(__file__).parent / "large_pages.py", demo, folder], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("kind, section, noun, n", [("sorting", "#units", "units", 500), ("imaging", "#table", "cells", 2000)], ids=["sorting", "imaging"])
def test_thousands_of_units_or_cells_stay_smooth(page, large, kind, section, noun, n):
    assert page.open(large / f"{kind}.html") < LOAD_S
    assert page.run(f"document.querySelector('{section} .tools .right').textContent") == f"{n:,} {noun}"
    # Rows are made as they come into sight, down to the last one.
    rows = f"document.querySelectorAll('{section} tbody tr[data-id]')"
    assert page.run(f"{rows}.length") < 80
    page.click_on(f"{section} th", 0)
    page.run(f"document.querySelector('{section} .table').focus()")
    page.press("End")
    last = page.run("chosen.id")
    assert last in (0, n - 1) and page.run(f"[...{rows}].some((r) => r.dataset.id === String({last}) && r.getAttribute('aria-selected') === 'true')")
    box = page.run(f"(() => {{ const b = document.querySelector('{section} .table').getBoundingClientRect(); const r = document.querySelector('{section} tr[aria-selected=true]').getBoundingClientRect(); return [b.top, b.bottom, r.top, r.bottom]; }})()")
    assert box[0] < box[2] and box[3] <= box[1] + 1, "the chosen row is in sight"
    assert page.run(f"{rows}.length") < 80
    for canvas in range(3):
        assert painted(page, "main canvas", canvas) > 0.001


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
