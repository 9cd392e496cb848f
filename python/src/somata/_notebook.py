"""What a result looks like in a notebook: facts, a figure, the first rows of its table.

Figures are drawn with matplotlib where it is installed and without `pyplot`, so that no state of the user's is touched.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from ._files import Columns

if TYPE_CHECKING:
    import matplotlib.figure

    from .imaging import ImageResult
    from .sorting import SortResult

_MAX_ROWS = 10
# More points than this cannot be told apart in a figure of this size.
_MAX_POINTS = 20_000
_SEED = 0


def sorting_html(result: SortResult) -> str:
    """A sort as HTML."""
    facts = {
        "units": f"{len(result)} ({len(result.good_unit_ids)} good)",
        "spikes": f"{len(result.spike_samples):,}",
        "recording": f"{result.duration_s:.1f} s, {len(result.channels)} channels sorted"
        + (f", {len(result.bad_channels)} left out" if result.bad_channels else ""),
        "time": f"{result.seconds:.1f} s on {result.device}",
        "folder": str(result.folder),
    }
    shown = ("unit_id", "label", "main_channel", "y_um", "n_spikes", "firing_rate_hz", "snr", "isi_violations_ratio")
    return _page("Sorting", facts, result.warnings, _figure(sorting_figure, result), result.unit_columns, shown)


def imaging_html(result: ImageResult) -> str:
    """A movie's result as HTML."""
    n_frames = result.manifest["movie"]["n_frames"]
    facts = {
        "cells": f"{int(result.is_cell.sum())} of {len(result)} regions",
        "movie": f"{n_frames:,} frames at {result.frame_rate_hz:g} Hz, {result.n_planes} plane(s)",
        "time": f"{result.seconds:.1f} s on {result.device}",
        "folder": str(result.folder),
    }
    shown = ("cell", "plane", "y_px", "x_px", "area_px", "probability", "found_by", "trace_snr")
    return _page("Imaging", facts, result.warnings, _figure(imaging_figure, result), result.cell_columns, shown)


def sorting_figure(result: SortResult) -> matplotlib.figure.Figure:
    """Spikes over time and depth, coloured by unit, with the motion; templates of the best units, µV."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    drift, shapes = figure.subplots(1, 2, width_ratios=(3, 1))
    n_spikes = len(result.spike_samples)
    chosen = np.arange(n_spikes)
    if n_spikes > _MAX_POINTS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(n_spikes, _MAX_POINTS, replace=False))
    seconds = result.spike_times_s[chosen]
    depth = result.spike_positions_um[chosen, 1]
    size = 4 if n_spikes < _MAX_POINTS / 4 else 1
    drift.scatter(
        seconds, depth, s=size, c=result.spike_units[chosen] % 20, cmap="tab20", linewidths=0, rasterized=True
    )
    motion = result.motion
    if motion is not None and result.segment_columns is None:
        for window, middle in enumerate(motion.depth_um):
            drift.plot(motion.time_s, middle + motion.displacement_um[:, window], color="black", linewidth=1)
    drift.set(xlabel="time (s)", ylabel="y along the probe (µm)", title="spikes, motion taken off; black: the motion")
    columns = result.unit_columns
    if len(result):
        columns_of = {int(channel): index for index, channel in enumerate(result.channels)}
        best = np.argsort(-columns["template_norm"].astype(np.float64))[:8]
        for row, unit in enumerate(best):
            channel = columns_of[int(columns["main_channel"][unit])]
            waveform = np.asarray(result.templates_uv[unit, :, channel])
            scale = max(float(np.abs(waveform).max()), 1e-6)
            time_ms = np.arange(len(waveform)) / result.sampling_frequency_hz * 1e3
            shapes.plot(time_ms, waveform / scale - 2 * row, linewidth=1)
            shapes.text(time_ms[-1], -2 * row, f" {unit}: {scale:.0f} µV", va="center", fontsize=8)
    shapes.set(xlabel="time (ms)", yticks=[], title="largest units")
    shapes.margins(x=0.3)
    return figure


def imaging_figure(result: ImageResult) -> matplotlib.figure.Figure:
    """The mean image of the first plane with the outlines of its cells; ΔF/F of the cells with the best signal."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    field, traces = figure.subplots(1, 2, width_ratios=(1, 1.4))
    mean = result.mean_image[0]
    low, high = np.percentile(mean, (1, 99.7))
    field.imshow(mean, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    masks = result.masks[0]
    # A pixel of a cell is on its outline where one of the four neighbours has another label.
    framed = np.pad(masks, 1)
    edge = np.zeros(masks.shape, dtype=bool)
    for rows, columns in ((slice(None, -2), slice(1, -1)), (slice(2, None), slice(1, -1))):
        edge |= (framed[rows, columns] != masks) | (masks != framed.T[rows, columns].T)
    outline = np.zeros((*masks.shape, 4))
    outline[edge & (masks > 0)] = (1.0, 0.8, 0.1, 0.9)
    field.imshow(outline, interpolation="nearest")
    field.set(xticks=[], yticks=[], title="mean image and cells" + (", plane 0" if result.n_planes > 1 else ""))
    if len(result):
        best = np.argsort(-result.cell_columns["trace_snr"].astype(np.float64))[:8]
        for row, cell in enumerate(best):
            trace = np.asarray(result.dff[cell])
            span = max(float(np.ptp(trace)), 1e-6)
            traces.plot(result.time_s, trace / span - row, linewidth=0.6)
            traces.text(result.time_s[-1], -row, f" {cell}: {span:.1f}", va="bottom", fontsize=8)
    traces.set(xlabel="time (s)", yticks=[], title="ΔF/F of the clearest cells; number: cell and range")
    traces.margins(x=0.12)
    return figure


def _figure(draw: Any, result: Any) -> str:
    """A figure as an HTML image; nothing without matplotlib."""
    try:
        figure = draw(result)
    except ImportError:
        return ""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=64)
    return f'<img alt="overview" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _page(
    title: str, facts: dict[str, str], warnings: list[str], figure: str, columns: Columns, shown: tuple[str, ...]
) -> str:
    lines = [f"<b>somata: {html.escape(title)}</b>", "<table>"]
    lines += [f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in facts.items()]
    lines.append("</table>")
    lines += [f"<div>warning: {html.escape(warning)}</div>" for warning in warnings]
    lines.append(figure)
    names = [name for name in shown if name in columns]
    n_rows = len(columns[names[0]]) if names else 0
    lines.append("<table><thead><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in names) + "</tr></thead>")
    for row in range(min(n_rows, _MAX_ROWS)):
        cells = "".join(f"<td>{html.escape(_text(columns[name][row]))}</td>" for name in names)
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</table>")
    if n_rows > _MAX_ROWS:
        lines.append(f"<div>{n_rows - _MAX_ROWS} more rows</div>")
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)
