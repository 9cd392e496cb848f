"""Opens an NWB file that `somata convert --to nwb` made of a result, and compares it with the files of the result.

pip install -r requirements.txt; usage: python open_nwb_result.py RESULT FILE

pynwb and its validator, nwbinspector, and of a sorting SpikeInterface's NwbSortingExtractor.
"""
import csv, json, pathlib, sys, warnings
import numpy as np, pynwb
from nwbinspector import Importance, inspect_nwbfile

warnings.filterwarnings("ignore")
result, path = pathlib.Path(sys.argv[1]), sys.argv[2]
manifest = json.loads((result / "manifest.json").read_text())


def same(found, wanted, what):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape and np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"), (what, found, wanted)


def table(name):
    """Columns of a table of the result; numbers where all rows are."""
    with open(result / name) as file:
        rows = list(csv.DictReader(file))
    columns = {}
    for key in rows[0] if rows else []:
        values = [row[key] for row in rows]
        try:
            columns[key] = np.array([float(value or "nan") for value in values])
        except ValueError:
            columns[key] = np.array(values)
    return columns


def sorting(nwb):
    load = lambda name: np.load(result / "phy" / f"{name}.npy")
    rate, n_samples = manifest["recording"]["sampling_frequency_hz"], manifest["recording"]["n_samples"]
    units, ids = nwb.units, np.unique(load("spike_clusters"))
    same(units.id[:], ids, "ids")
    metrics = table("metrics.csv")
    for name in set(metrics) - {"unit_id"}:
        assert list(units[name][:]) == list(metrics[name]) or np.array_equal(units[name][:], metrics[name], equal_nan=True), name
    for place, unit in enumerate(ids):
        of = load("spike_clusters") == unit
        same(np.round(units["spike_times"][place] * rate).astype(int), load("spike_times")[of], "spike_times")
        same(units["spike_amplitudes"][place], load("amplitudes")[of], "amplitudes")
        same(units["spike_positions_um"][place], load("spike_positions")[of], "positions")
        assert np.allclose(units["waveform_mean"][place], load("templates_uv")[unit] * 1e-6, rtol=1e-6, atol=0)
        assert np.allclose(units["waveform_sd"][place], load("templates_sd_uv")[unit] * 1e-6, rtol=1e-6, atol=0, equal_nan=True)
        assert np.allclose(units["obs_intervals"][place], [[0, n_samples / rate]])
    before = manifest["parameters"]["templates"]["before_ms"]
    attributes = units["waveform_mean"].data.attrs
    assert abs(attributes["time_before_peak_in_ms"] - before) <= 500 / rate and attributes["sampling_rate"] == rate
    electrodes = nwb.electrodes
    same(np.stack([electrodes["rel_x"][:], electrodes["rel_y"][:]], 1), load("channel_positions"), "electrodes")
    same(electrodes["raw_column"][:], load("channel_map"), "raw_column")
    assert list(electrodes["group_name"][:]) == [f"shank{shank}" for shank in load("channel_shanks")]
    if len(ids):
        from spikeinterface.extractors.nwbextractors import NwbSortingExtractor
        opened = NwbSortingExtractor(path, sampling_frequency=rate, t_start=0)
        for unit in opened.unit_ids:
            same(opened.get_unit_spike_train(unit), load("spike_times")[load("spike_clusters") == int(unit)], "SpikeInterface")
    return len(ids)


def imaging(nwb):
    traces, cells, motion = np.load(result / "traces.npz"), table("cells.csv"), table("motion.csv")
    ophys, planes, first = nwb.processing["ophys"], manifest["planes"], 0
    names = {"F": ("Fluorescence", "RoiResponseSeries"), "Fneu": ("Fluorescence", "Neuropil"), "F_corrected": ("Fluorescence", "Corrected"),
             "dff": ("DfOverF", "RoiResponseSeries"), "denoised": ("Fluorescence", "Denoised"), "spikes": ("Fluorescence", "Deconvolved")}
    for k, plane in enumerate(planes):
        suffix = f"Plane{k}" if len(planes) > 1 else ""
        rows = slice(first, first + plane["n_cells"])
        segmentation = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
        same(segmentation.id[:], np.arange(rows.start, rows.stop), "ids")
        stat = np.load(result / f"suite2p/plane{k}/stat.npy", allow_pickle=True)
        for place, cell in enumerate(stat):
            pixels = segmentation["pixel_mask"][place]
            same([[p[0], p[1]] for p in pixels], np.stack([cell["xpix"], cell["ypix"]], 1), "pixels")
            same([p[2] for p in pixels], cell["lam"].astype("f4"), "weights")
        if plane["n_cells"]:
            for name in set(cells) - {"cell"}:
                assert list(segmentation[name][:]) == list(cells[name][rows]) or np.array_equal(segmentation[name][:], cells[name][rows], equal_nan=True), name
            for name, (container, series) in names.items():
                same(ophys[container][f"{series}{suffix}"].data[:], traces[name][rows].T, name)
        of = motion["plane"] == k
        moved = ophys[f"xy_translation{suffix}"].data[:]
        assert np.allclose(moved, -np.stack([motion["shift_x_px"], motion["shift_y_px"]], 1)[of], rtol=0, atol=1e-3)
        mean = np.load(result / f"suite2p/plane{k}/ops.npy", allow_pickle=True).item()["meanImg"]
        same(ophys["SummaryImages"][f"mean{suffix}"].data[:].T, mean, "mean")
        first = rows.stop
    return first


with pynwb.NWBHDF5IO(path, "r") as io:
    errors = pynwb.validate(io=io)
    assert not errors, errors
    nwb = io.read()
    assert str(nwb.session_start_time) == "2026-01-31 09:30:00+01:00" and list(nwb.was_generated_by[0]) == ["somata", manifest["somata"]]
    n = sorting(nwb) if manifest["kind"] == "sort" else imaging(nwb)
found = list(inspect_nwbfile(nwbfile_path=path))
for message in found:
    print(f"{message.importance.name} {message.check_function_name} {message.location}: {message.message.splitlines()[-1]}")
# Some checks themselves fail on a table without rows (ERROR).
bad = {Importance.CRITICAL, Importance.PYNWB_VALIDATION} | ({Importance.ERROR} if n else set())
assert not [message for message in found if message.importance in bad]
print(f"{n} opened: all agree")
