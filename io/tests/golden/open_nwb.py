"""Opens what the test `tests/writers/nwb.rs` wrote: h5py, pynwb and nwbinspector give back what went in and find nothing wrong.

pip install h5py pynwb nwbinspector numpy
usage: python open_nwb.py FOLDER     (FOLDER: holds `expected.json` beside what was written)
"""
import datetime, json, pathlib, sys, warnings
import h5py, numpy as np, pynwb
from nwbinspector import Importance, inspect_nwbfile

base = pathlib.Path(sys.argv[1])
expected = json.loads((base / "expected.json").read_text())


def same(found, wanted, dtype=None):
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert dtype is None or found.dtype == np.dtype(dtype), (found.dtype, dtype)
    assert found.shape == wanted.shape and np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"), (found, wanted)


# HDF5 itself, every kind of object.
with h5py.File(base / "every.h5") as f:
    assert f.attrs["title"] == "all" and len(f) == 19, list(f)
    assert f["one"].shape == () and f["one"][()] == 2.5
    a = f["u8"].attrs
    assert len(a) == 10 and a["text"] == "µm, 日本" and a["empty"] == "" and a["long"] == "x" * 100_000 and a["ninth"] == "9"
    assert list(a["texts"]) == ["a", "", "ccc"] and a["integer"] == -7 and f[a["reference"]] == f["one"]
    assert a["single"] == np.float32(0.1) and a["double"] == 0.1
    same(f["u8"][:], np.array([0, 127, 255]), "u1")
    same(f["i32"][:], [[-(2**31)], [2**31 - 1]], "i4")
    same(f["u32"][:], np.array([2**32 - 1]), "u4")
    same(f["i64"][:], [-(2**63), 2**63 - 1], "i8")
    same(f["u64"][:], np.array([2**64 - 1], "u8"), "u8")
    same(f["f32"][:], np.array([[np.finfo("f4").tiny, -1.5], [np.nan, np.inf]], "f4"), "f4")
    same(f["f64"][:], [np.finfo("f8").max, -0.0], "f8")
    assert f["none"].shape == (0, 4) and f["none"][:].size == 0 and f["no_texts"].shape == (0,)
    assert f["scalar_text"].asstr()[()] == "é" and tuple(h5py.check_string_dtype(f["scalar_text"].dtype)) == ("utf-8", None)
    same(f["texts"].asstr()[:], np.array(["µ" * (n % 40) + str(n) for n in range(3000)], object).reshape(1500, 2))
    assert f["group"].attrs["kind"] == "inner" and f["soft"]["one"] == f["one"]
    assert [f[r] for r in f["references"][:]] == [f["group"], f["one"]]
    same(f["packed"][:], np.arange(200_000) ** 2, "i8")
    assert f["packed"].compression == "gzip" and f["packed"].shuffle and f["packed"].id.get_storage_size() < 800_000
    same(f["packed"][123_456:123_460], np.arange(123_456, 123_460) ** 2)
    same(f["compound"]["x"], np.arange(50_000), "u4")
    same(f["compound"]["w"], np.arange(50_000) / 2)
    same(f["many"][:], 1000 * np.arange(139)[:, None] + np.arange(141), "u4")
    assert f["many"].id.get_num_chunks() == 70 * 71
    assert len(f["crowd"]) == 3000 and f["crowd/link2999"] == f["one"]

# A file that is opened for changes stays readable.
changed = base / "changed.h5"
changed.write_bytes((base / "every.h5").read_bytes())
with h5py.File(changed, "a") as f:
    f["u8"].attrs["more"] = 1
    f["new"] = np.arange(5)
    f["group/new"] = f["one"]
    del f["texts"]
with h5py.File(changed) as f:
    assert list(f["new"]) == [0, 1, 2, 3, 4] and f["group/new"][()] == 2.5 and len(f["u8"].attrs) == 11 and "texts" not in f
    same(f["packed"][:], np.arange(200_000) ** 2, "i8")


def checked(name, has_rows=True):
    """The file, validated and inspected. A table without rows is reported, and some checks of nwbinspector fail on one themselves (ERROR)."""
    path = base / name
    with pynwb.NWBHDF5IO(path, "r", load_namespaces=True) as io:
        errors = pynwb.validate(io=io)
        assert not errors, errors
    with h5py.File(path) as f:
        assert sorted(f["specifications"]) == ["core", "hdmf-common", "hdmf-experimental"]
        assert f[f.attrs[".specloc"]] == f["specifications"]
    found = list(inspect_nwbfile(nwbfile_path=path))
    found = [m for m in found if has_rows or not (m.importance == Importance.ERROR or m.check_function_name == "check_empty_table")]
    for message in found:
        print(f"{name}: {message.importance.name} {message.check_function_name} {message.location} {message.message}")
    worse = [m for m in found if m.importance in (Importance.CRITICAL, Importance.ERROR, Importance.PYNWB_VALIDATION, Importance.BEST_PRACTICE_VIOLATION)]
    assert not worse, worse
    return pynwb.NWBHDF5IO(path, "r")


def session(nwb):
    zone = datetime.timezone(datetime.timedelta(hours=1))
    assert nwb.session_start_time == nwb.timestamps_reference_time == datetime.datetime(2026, 1, 31, 9, 30, tzinfo=zone)
    assert nwb.session_description == "a session of the tests" and nwb.session_id == "s1" and nwb.lab == "lab"
    assert tuple(nwb.experimenter) == ("Cajal, Santiago",) and list(nwb.keywords) == ["a", "µ"] and nwb.institution == "institution"
    assert nwb.notes == "notes" and nwb.experiment_description == "what it was about" and len(nwb.identifier) == 36
    assert nwb.subject.species == "Mus musculus" and nwb.subject.subject_id == "m1" and nwb.subject.age == "P90D" and nwb.subject.sex == "F"
    assert [list(row) for row in nwb.was_generated_by] == [["somata", "0.1.0"]]


# The sorting, as `write_sorting` and the test have it.
spike = np.arange(1000)
sample, unit, rate = spike**2, np.array([0, 3, 4])[spike % 3], 20000.0
clock = np.where(sample < 10000, sample / rate, 95 + (sample - 10000) / rate)
template = np.where(spike % 3 == 1, 1 + (spike >= 500), np.where(spike % 3 == 0, 0, 3))
waveforms = (np.arange(600) % 101 - 50.0).reshape(4, 30, 5)
deviations = np.where(np.arange(600) % 5 == 4, np.nan, np.arange(600) % 89 / 4).reshape(4, 30, 5)


def sorting(nwb, start):
    u = nwb.units
    assert list(u.id[:]) == [0, 3, 4]
    assert u["spike_times"].target.data.attrs["resolution"] == 1 / rate
    for place, name in enumerate([0, 3, 4]):
        of = unit == name
        assert np.allclose(u["spike_times"][place], start + clock[of], rtol=0, atol=1e-9)
        same(u["spike_amplitudes"][place], 1 + spike[of] / 1000, "f8")
        same(u["spike_positions_um"][place], np.stack([spike[of], 2 * spike[of]], 1).astype("f4"), "f4")
        assert np.allclose(u["obs_intervals"][place], start + np.array([[0, 0.5], [95, 95 + 990_000 / rate]]), rtol=0, atol=1e-9)
        mean = waveforms[template[of]].mean(0) * 1e-6
        assert u["waveform_mean"][place].dtype == np.float32 and np.allclose(u["waveform_mean"][place], mean, rtol=1e-6, atol=0)
        apart = waveforms[template[of]].mean(0) - waveforms[template[of]]
        sd = np.sqrt((deviations[template[of]] ** 2 + apart**2).mean(0)) * 1e-6
        assert u["waveform_sd"][place].dtype == np.float32 and np.allclose(u["waveform_sd"][place], sd, rtol=1e-6, atol=0, equal_nan=True)
        region = u["electrodes"][place]
        same(region["rel_x"], np.arange(0, 10, 2) * 12.5, "f4")
    for name in ("waveform_mean", "waveform_sd"):
        data = u[name]
        assert data.data.attrs["unit"] == "volts" and data.data.attrs["sampling_rate"] == rate and data.data.attrs["time_before_peak_in_ms"] == 1
    same(u["n_spikes"][:], [334, 333, 333], "i8")
    assert list(u["label"][:]) == ["good", "mua", "a, µ"] and list(u["group"][:]) == ["good", "mua", "good"]
    same(u["snr"][:], [4.5, 3.25, 2.0], "f8")
    same(u["amplitude_cutoff"][:], [np.nan, 0.5, np.nan], "f8")
    assert all(column.description for column in u.columns)
    e = nwb.electrodes
    same(e["rel_y"][:], np.arange(1, 11, 2) * 12.5, "f4")
    same(e["raw_column"][:], [9, 7, 5, 3, 1], "i8")
    assert list(e["location"][:]) == ["CA1"] * 5 and list(e["group_name"][:]) == ["shank0"] * 2 + ["shank2"] * 3
    assert [g.name for g in e["group"][:]] == list(e["group_name"][:])
    group = nwb.electrode_groups["shank2"]
    assert group.location == "CA1" and group.device is nwb.devices["Probe 1_2"] and group.device.description == "two shanks"
    assert len(nwb.electrode_groups) == 2 and u["electrodes"].target.table is e


with checked("sorting.nwb") as io:
    nwb = io.read()
    session(nwb)
    sorting(nwb, 0)
    assert not nwb.processing and len(nwb.devices) == 1
with checked("spikes_only.nwb") as io:
    u = io.read().units
    assert list(u.id[:]) == [2, 7] and list(u["spike_times"][0]) == [10 / rate] and list(u["spike_times"][1]) == [20 / rate, 30 / rate]
    assert list(u["table_electrodes"][:]) == ["", "x"] and "waveform_mean" not in u.colnames and "electrodes" not in u.colnames
with checked("nothing.nwb", has_rows=False) as io:
    assert len(io.read().units) == 0


def rows(kind, n, t):  # as `Rows` of the test and `rows` of make_suite2p_folder.py
    return (1000 * kind + 10 * np.arange(n)[:, None] + np.arange(t)[None]).astype("f4")


def plane(nwb, suffix, first, cells, traces, fps, start, shifts, images):
    """`traces`: (container, name) → [cells, frames]; `images`: name → [height, width]."""
    ophys = nwb.processing["ophys"]
    p = ophys["ImageSegmentation"][f"PlaneSegmentation{suffix}"]
    assert list(p.id[:]) == list(range(first, first + len(cells)))
    for place, cell in enumerate(cells):
        mask = p["pixel_mask"][place]
        found = np.array([tuple(pixel) for pixel in mask], [("x", "u4"), ("y", "u4"), ("weight", "f4")])
        same(found["x"], cell["xpix"])
        same(found["y"], cell["ypix"])
        same(found["weight"], np.array(cell["lam"], "f4"))
    where = p.imaging_plane
    assert where.location == "VISp" and where.indicator == "GCaMP6s" and where.excitation_lambda == 920 and np.isclose(where.imaging_rate, fps)
    assert where.optical_channel[0].emission_lambda == 510 and where.device is nwb.devices["microscope"]
    same(where.grid_spacing[:], np.array([2e-6, 1.5e-6], "f4"), "f4")
    found = {(c, s.name) for c in ("Fluorescence", "DfOverF") if c in ophys.data_interfaces for s in ophys[c].roi_response_series.values()}
    assert {(c, f"{n}{suffix}") for c, n in traces} <= found
    for (container, name), wanted in traces.items():
        series = ophys[container][f"{name}{suffix}"]
        same(series.data[:], wanted.T, "f4")
        assert series.rate == fps and series.starting_time == start and series.rois.table is p and list(series.rois.data[:]) == list(range(len(cells)))
        assert series.unit == ("n.a." if container == "DfOverF" else "counts") and series.conversion == 1 and series.description
    if shifts is None:
        assert f"xy_translation{suffix}" not in ophys.data_interfaces
    else:
        moved = ophys[f"xy_translation{suffix}"]
        same(moved.data[:], -shifts[:, ::-1].astype("f4"), "f4")
        assert moved.unit == "pixels" and moved.rate == fps and moved.starting_time == start
    for name, image in images.items():
        same(ophys["SummaryImages"][f"{name}{suffix}"].data[:], image.T, "f4")
    return p


cells, t = expected["cells"], expected["n_frames"]
size = (expected["height"], expected["width"])
seeded = lambda seed: ((np.arange(size[0] * size[1]) * seed) % 251).reshape(size).astype("f4")
names = [("Fluorescence", "RoiResponseSeries"), ("Fluorescence", "Neuropil"), ("Fluorescence", "Corrected"),
         ("DfOverF", "RoiResponseSeries"), ("Fluorescence", "Denoised"), ("Fluorescence", "Deconvolved")]
frame = np.arange(t)
shifts = np.stack([frame * 0.3 - 0.5, -0.7 * frame], 1).astype("f4")
with checked("both.nwb") as io:
    nwb = io.read()
    session(nwb)
    sorting(nwb, 10)
    n = len(cells)
    def cut(image):  # `yrange` and `xrange` of the test
        whole = np.full(size, np.nan, "f4")
        whole[2:38, 3:48] = image[2:38, 3:48]
        return whole
    for k in (0, 1):
        traces = {name: rows(kind, 2 * n, t)[k * n : (k + 1) * n] for kind, name in enumerate(names)}
        p = plane(nwb, f"Plane{k}", k * n, cells, traces, 30.0, 2.5, shifts, {"mean": seeded(1), "max": cut(seeded(4)), "correlation": cut(seeded(5))})
        assert p.imaging_plane.name == f"ImagingPlane{k}"
        same(p["skew"][:], k * n + np.arange(n) + 0.5)
        assert list(p["found_by"][:]) == [["network", "activity"][c % 2] for c in range(k * n, (k + 1) * n)]
        same(p["table_image_mask"][:], np.arange(k * n, (k + 1) * n), "i8")
        if k == 1:  # the plane with a second channel
            same(nwb.processing["ophys"]["SummaryImages"]["mean_channel2Plane1"].data[:], seeded(2).T, "f4")
            same(p["redcell"][:], np.arange(n) % 2 == 0)
            same(p["redcell_probability"][:], np.arange(n) / 10)
        else:
            assert "redcell" not in p.colnames and "mean_channel2Plane0" not in nwb.processing["ophys"]["SummaryImages"].images
    assert len(nwb.devices) == 2 and len(nwb.imaging_planes) == 2

source = pathlib.Path(expected["suite2p_folder"]) / "plane0"
load = lambda name: np.load(source / f"{name}.npy", allow_pickle=True)
stat, ops, iscell = load("stat"), load("ops").item(), load("iscell")
with checked("foreign.nwb") as io:
    nwb = io.read()
    traces = {("Fluorescence", "RoiResponseSeries"): load("F"), ("Fluorescence", "Neuropil"): load("Fneu"), ("Fluorescence", "Deconvolved"): load("spks")}
    images = {name: np.asarray(ops[key], "f4") for name, key in (("mean", "meanImg"), ("max", "max_proj"), ("correlation", "Vcorr")) if key in ops}
    p = plane(nwb, "", 0, stat, traces, ops["fs"], 0.0, None, images)  # it has `yoff` and no `xoff`
    same(p["is_cell"][:], iscell[:, 0])
    same(p["probability"][:], iscell[:, 1])
    red = load("redcell")
    same(p["redcell"][:], red[:, 0])
    same(p["redcell_probability"][:], red[:, 1])
with checked("empty.nwb", has_rows=False) as io:
    ophys = io.read().processing["ophys"]
    assert len(ophys["ImageSegmentation"]["PlaneSegmentation"]) == 0 and "Fluorescence" not in ophys.data_interfaces
print("all opened")
