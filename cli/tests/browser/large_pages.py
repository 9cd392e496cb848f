"""Reports as large as they get, made out of small ones: what they weigh and how they load can be measured without sorting for hours.

    python large_pages.py DEMO OUT

DEMO is a folder that `somata demo --out` made. OUT gets `sorting.html`, a sort of 500 units and 384 channels over an hour, and `imaging.html`, a
movie of 2,000 cells, 512 × 512 pixels and 100,000 frames. Style, scripts and the layout of packed numbers are those of the demo's pages; how many
numbers there are follows the bounds in `cli/src/report`, which are read from there. The values are random, with the spread of real ones. It needs numpy.
"""

import base64
import copy
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

SOURCES = Path(__file__).resolve().parents[2] / "src" / "report"
BLOCK = re.compile(r'<script type="([^"]*)" id="data-([^"]*)">(.*?)</script>\n', re.S)
N_UNITS, N_CHANNELS, DURATION_S = 500, 384, 3600.0
N_CELLS, SIDE_PX, N_FRAMES = 2000, 512, 100_000


def bound(source, name):
    """A constant of the writer."""
    text = (SOURCES / f"{source}.rs").read_text()
    return int(re.search(rf"const {name}: usize = ([\d_]+);", text)[1].replace("_", ""))


class Page:
    """The blocks of a page, to be changed and written again."""

    def __init__(self, path):
        self.html = Path(path).read_text()
        self.blocks = {name: text for _, name, text in BLOCK.findall(self.html)}

    def json(self, name):
        return json.loads(self.blocks[name])

    def set(self, name, value):
        """Replaces a block of JSON; the demo's names hold no markup, so that nothing has to be escaped."""
        self.blocks[name] = json.dumps(value, separators=(",", ":"))

    def set_rows(self, name, counts, n_rows, make):
        """Replaces packed rows: `counts` are the new numbers of values of fields, `make(field, dtype, shape)` gives values."""
        fields, offset, parts = {}, 0, []
        for field, (kind, _, count) in self.json(f"{name}-layout")["fields"].items():
            count = counts.get(field, count)
            dtype = np.dtype({"u8": "<u1", "i16": "<i2", "u16": "<u2", "u32": "<u4", "f32": "<f4"}[kind])
            fields[field] = [kind, offset, count]
            offset += count * dtype.itemsize
            parts.append(np.ascontiguousarray(make(field, dtype, (n_rows, count)).astype(dtype)).view(np.uint8).reshape(n_rows, -1))
        padding = np.zeros((n_rows, -offset % 3), np.uint8)
        self.blocks[name] = base64.b64encode(np.hstack([*parts, padding]).tobytes()).decode()
        self.set(f"{name}-layout", {"row_bytes": offset + padding.shape[1], "n_rows": n_rows, "fields": fields})

    def drop(self, name):
        """Takes a block away."""
        self.html = BLOCK.sub(lambda m: "" if m[2] == name else m[0], self.html)

    def write(self, path):
        Path(path).write_text(BLOCK.sub(lambda m: f'<script type="{m[1]}" id="data-{m[2]}">{self.blocks[m[2]]}</script>\n', self.html))


def large_sorting(demo, rng):
    page = Page(demo)
    recording = page.json("recording")
    recording.update(duration_s=DURATION_S, name="500 units, an hour")
    channel = recording["channels"][0]
    recording["channels"] = [{**channel, "x": [16, 48, 0, 32][c % 4], "y": c // 2 * 20, "bad": None, "noise_uv": 8 + rng.random()} for c in range(N_CHANNELS)]
    page.set("recording", recording)
    manifest = page.json("manifest")

    n_amplitudes = min(bound("sorting_units", "MAX_AMPLITUDES") // N_UNITS, bound("sorting_units", "MAX_AMPLITUDES_OF_UNIT"))
    units, rate_hz = [], rng.gamma(1.2, 4, N_UNITS) + 0.1
    for k in range(N_UNITS):
        unit = copy.deepcopy(page.json("units")[k % len(page.json("units"))])
        near = sorted(range(N_CHANNELS), key=lambda c: abs(c - k * N_CHANNELS // N_UNITS))[: bound("sorting_units", "WAVEFORM_CHANNELS")]
        unit.update(
            unit_id=k, label="good" if rng.random() < 0.6 else "mua", main_channel=near[0], waveform_channels=near, n_amplitudes=n_amplitudes,
            x_um=24 + rng.normal() * 14, y_um=recording["channels"][near[0]]["y"] + rng.normal() * 8, peak_uv=-40 - 160 * rng.random(), waveform_uv=200,
        )
        unit["metrics"].update(n_spikes=int(rate_hz[k] * DURATION_S), firing_rate_hz=rate_hz[k], snr=3 + 15 * rng.random())
        units.append(unit)
    page.set("units", units)
    n_spikes = sum(unit["metrics"]["n_spikes"] for unit in units)
    manifest.update(n_units=N_UNITS, n_good=sum(unit["label"] == "good" for unit in units), n_spikes=n_spikes)
    page.set("manifest", manifest)

    n_bins = min(int(DURATION_S / 0.5), bound("sorting_units", "MAX_RATE_BINS"))
    page.set("unit-about", {**page.json("unit-about"), "rate_bin_s": DURATION_S / n_bins})
    wave = -np.exp(-(((np.linspace(0, 1, recording["n_template_samples"]) - 0.35) / 0.07) ** 2)) * 30000

    def unit_values(field, dtype, shape):
        n, count = shape
        if field == "waveform":
            return np.tile(wave, count // len(wave)) * np.repeat(np.linspace(1, 0.1, count // len(wave)), len(wave)) + rng.normal(0, 300, shape)
        if field == "amplitude_time":
            return np.sort(rng.integers(0, 65536, shape), axis=1)
        if field == "amplitude":
            return rng.normal(0.6, 0.08, shape).clip(0, 1) * np.iinfo(dtype).max
        return rng.poisson(400, shape)

    page.set_rows(
        "unit-rows",
        {"amplitude_time": n_amplitudes, "amplitude": n_amplitudes, "waveform": bound("sorting_units", "WAVEFORM_CHANNELS") * len(wave)},
        N_UNITS,
        unit_values,
    )
    page.set_rows("rates", {"rate": N_UNITS * n_bins}, 1, lambda field, dtype, shape: rng.gamma(1.5, 40, shape).clip(0, 255))
    n_pairs = min(bound("sorting_units", "MAX_PAIRS"), N_UNITS * bound("sorting_units", "PAIRS_OF_UNIT"))
    page.set("pairs", [{"first": k % N_UNITS, "second": (k + 1 + k // N_UNITS) % N_UNITS, "similarity": round(1 - k / n_pairs / 2, 4), "references": 50000} for k in range(n_pairs)])
    page.set_rows("pair-rows", page_count(page, "pair-rows"), n_pairs, lambda field, dtype, shape: rng.poisson(300, shape))

    depth = [-60.0, recording["channels"][-1]["y"] + 60.0]
    n_drift = min(bound("sorting", "MAX_DRIFT_SPIKES"), n_spikes)
    of_unit = rng.choice(N_UNITS, n_drift, p=rate_hz / rate_hz.sum())
    time = np.sort(rng.random(n_drift))
    at = (np.array([unit["y_um"] for unit in units])[of_unit] + rng.normal(0, 6, n_drift) - depth[0]) / (depth[1] - depth[0])
    moved = at + 20 * np.sin(time * 9) / (depth[1] - depth[0])
    drift = {"time": time * 65535, "depth": at.clip(0, 1) * 65535, "recorded_depth": moved.clip(0, 1) * 65535, "unit": of_unit, "amplitude": rng.gamma(4, 25, n_drift).clip(0, 255)}
    page.set_rows("drift", dict.fromkeys(drift, n_drift), 1, lambda field, dtype, shape: drift[field].reshape(shape))
    page.set("drift-about", {**page.json("drift-about"), "n_shown": n_drift, "n_spikes": n_spikes, "depth_um": depth})
    if "motion" in page.blocks:
        times, depths = np.linspace(0, DURATION_S, bound("sorting", "MAX_MOTION_BINS")), np.linspace(0, depth[1], bound("sorting", "MAX_MOTION_DEPTHS"))
        shift = [[round(20 * float(np.sin(t / DURATION_S * 9)), 2)] * len(depths) for t in times]
        page.set("motion", {"corrected": True, "time_s": times.round(2).tolist(), "depth_um": depths.round(2).tolist(), "displacement_um": shift})
    n_raster = bound("sorting", "MAX_RASTER_SPIKES")
    length = n_raster / rate_hz.sum()
    start = DURATION_S / 2 - length / 2
    raster = {"time": np.sort(rng.random(n_raster)) * length, "unit": rng.choice(N_UNITS, n_raster, p=rate_hz / rate_hz.sum())}
    page.set_rows("raster", dict.fromkeys(raster, n_raster), 1, lambda field, dtype, shape: raster[field].reshape(shape))
    page.set("raster-about", {"range_s": [start, start + length], "whole": False})
    page.drop("truth")
    return page


def page_count(page, name):
    return {field: count for field, (_, _, count) in page.json(f"{name}-layout")["fields"].items()}


def png(image):
    """An image of 8 bits as PNG, base64."""
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    height, width = image.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), image]).tobytes()
    data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return base64.b64encode(data).decode()


def large_imaging(demo, rng):
    page = Page(demo)
    movie = {**page.json("movie"), "name": "2,000 cells, 100,000 frames", "height": SIDE_PX, "width": SIDE_PX, "n_frames": N_FRAMES, "frame_rate_hz": 30.0, "duration_s": N_FRAMES / 30}
    page.set("movie", movie)

    cells, image = [], rng.normal(60, 12, (SIDE_PX, SIDE_PX))
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    model = page.json("cells")
    sizes = page.json("traces-about")
    least, most = 580, 24_000
    of_cell = min(max(bound("imaging_cells", "MAX_TRACE_BYTES") // N_CELLS, least), most)
    stretch = of_cell * 2 // 7 // bound("imaging_cells", "FRAME_BYTES")
    n_bins = of_cell * 5 // 7 // bound("imaging_cells", "BIN_BYTES")
    for k in range(N_CELLS):
        y, x = rng.uniform(8, SIDE_PX - 8, 2)
        mask = (rows - y) ** 2 + ((columns - x) * rng.uniform(0.85, 1.15)) ** 2 < rng.uniform(4.5, 6.5) ** 2
        image[mask] += 40
        runs = []
        for row in np.flatnonzero(mask.any(axis=1)):
            first, n = int(np.argmax(mask[row])), int(mask[row].sum())
            runs += [int(row), first, n]
        cell = copy.deepcopy(model[k % len(model)])
        cell.update(
            cell=k, plane=0, y_px=y, x_px=x, area_px=int(mask.sum()), probability=rng.random(), trace_snr=rng.gamma(3, 2), runs=runs,
            stretch_start=int(rng.integers(0, N_FRAMES - stretch)), dff_range=[-0.4, 3.0], trace_range=[-50.0, 400.0], light_range=[100.0, 300.0],
        )
        cells.append(cell)
    page.set("cells", cells)
    page.set("traces-about", {**sizes, "n_bins": n_bins, "stretch_frames": stretch, "whole": False, "frames_of_bin": N_FRAMES / n_bins})

    def values(field, dtype, shape):
        top = np.iinfo(dtype).max
        if "spikes" in field:
            return (rng.random(shape) < 0.08) * rng.integers(1, top + 1, shape)
        return rng.normal(0.25 if field == "dff_high" else 0.15, 0.03, shape).clip(0, 1) * top

    counts = {name: {"trace": stretch, "denoised": stretch, "stretch_spikes": stretch, "dff_low": n_bins, "dff_high": n_bins, "spikes": n_bins}.get(name, -(-n_bins // 2)) for name in page_count(page, "traces")}
    page.set_rows("traces", counts, N_CELLS, values)

    planes = page.json("planes")
    for name in planes[0]["images"].values():
        page.blocks[name] = png((image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8))
    n_motion = bound("imaging", "MAX_MOTION_BINS")
    curve = lambda level, spread: (level + rng.normal(0, spread, n_motion)).round(3).tolist()
    planes[0].update(n_cells=N_CELLS)
    planes[0]["motion"].update(
        bin_s=N_FRAMES / 30 / n_motion, y=[curve(-1, 0.3), curve(1, 0.3)], x=[curve(-1, 0.3), curve(1, 0.3)], apart=curve(0.5, 0.05), correlation=[curve(0.6, 0.02), curve(0.8, 0.02)],
        bad=[0] * n_motion, n_bad=0,
    )
    page.set("planes", planes[:1])
    page.drop("truth")
    return page


def main():
    demo, out = map(Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    large_sorting(demo / "sorting" / "report.html", np.random.default_rng(1)).write(out / "sorting.html")
    large_imaging(demo / "imaging" / "report.html", np.random.default_rng(2)).write(out / "imaging.html")
    for kind in ["sorting", "imaging"]:
        print(f"{out / kind}.html: {(out / kind).with_suffix('.html').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
