"""Opens a result with the tools that users will use, and compares what they see with the files and with their own numbers.

pip install -r requirements.txt; usage: python open_result.py RESULT

phylib's TemplateModel, SpikeInterface's read_phy and read_kilosort, DataJoint Element's rule for params.py, and
SpikeInterface's quality metrics on the spike trains of RESULT/phy against RESULT/metrics.csv, and deviations of waveforms with scipy.
"""
import csv, json, math, pathlib, sys, warnings
import numpy as np
import spikeinterface as si
from scipy.signal import butter, sosfiltfilt
from spikeinterface.extractors import read_kilosort, read_phy
from spikeinterface.metrics.quality import compute_isi_violations, compute_presence_ratios, compute_refrac_period_violations
from spikeinterface.metrics.quality.misc_metrics import amplitude_cutoff

warnings.filterwarnings("ignore")
result = pathlib.Path(sys.argv[1])
phy = result / "phy"
manifest = json.loads((result / "manifest.json").read_text())
rate, n_samples = manifest["recording"]["sampling_frequency_hz"], manifest["recording"]["n_samples"]
mismatches = []


def check(holds, what):
    if not holds:
        mismatches.append(what)


# Every file that DataJoint wants is there, and numpy opens all others.
ELEVEN = ["params.py", "amplitudes.npy", "channel_map.npy", "channel_positions.npy", "pc_features.npy", "pc_feature_ind.npy",
          "similar_templates.npy", "spike_templates.npy", "spike_times.npy", "templates.npy", "spike_clusters.npy"]
for name in ELEVEN:
    check((phy / name).is_file(), f"{name} is missing")
array = {path.stem: np.load(path) for path in phy.glob("*.npy")}
times, clusters, templates = array["spike_times"], array["spike_clusters"], array["templates"]
n_spikes, (n_units, n_taps, n_channels) = len(times), templates.shape
units = np.unique(clusters)

# Shapes agree with each other and with the manifest.
SHAPES = {
    "spike_times": (n_spikes,), "spike_clusters": (n_spikes,), "spike_templates": (n_spikes,), "amplitudes": (n_spikes,),
    "spike_positions": (n_spikes, 2), "templates_uv": (n_units, n_taps, n_channels), "templates_sd_uv": (n_units, n_taps, n_channels), "templates_ind": (n_units, n_channels),
    "similar_templates": (n_units, n_units), "channel_map": (n_channels,), "channel_positions": (n_channels, 2),
    "channel_shanks": (n_channels,), "whitening_mat": (n_channels, n_channels), "whitening_mat_inv": (n_channels, n_channels),
    "pc_features": (n_spikes, *array["pc_features"].shape[1:]), "pc_feature_ind": (n_units, array["pc_features"].shape[2]),
}
for name, shape in SHAPES.items():
    check(array[name].shape == shape, f"{name}.npy is {array[name].shape}, expected {shape}")
    # Deviations are measured near the unit only.
    check(name == "templates_sd_uv" or np.isfinite(array[name]).all(), f"{name}.npy holds values that are not finite")
check(manifest["n_spikes"] == n_spikes and manifest["n_units"] == n_units, "the manifest counts other spikes or units")
check((np.diff(times) >= 0).all(), "spike_times.npy is not in order")
check(n_spikes == 0 or (0 <= times[0] and times[-1] < n_samples), "a spike lies outside the recording")
check(n_spikes == 0 or clusters.max() < n_units, "a cluster has no template")
check((array["pc_feature_ind"] < n_channels).all(), "pc_feature_ind.npy names a channel that is not there")
unit_matrix = array["whitening_mat"] @ array["whitening_mat_inv"]
check(np.allclose(unit_matrix, np.eye(n_channels), atol=1e-2), "the whitening matrices are not inverse")
check(np.allclose(np.diag(array["similar_templates"]), 1, atol=1e-4), "a template is not similar to itself")

# DataJoint Element's reader of params.py: every line split at "=" gives a name and a value.
params = {}
for line in (phy / "params.py").read_text().split("\n")[:-1]:
    parts = line.split("=")
    check(len(parts) == 2, f"params.py: `{line}`")
    params[parts[0].strip()] = eval(parts[-1].strip(), {})
check(params["sample_rate"] == rate, "params.py has another sample rate")
check({"dat_path", "n_channels_dat", "dtype", "offset", "sample_rate", "hp_filtered"} <= set(params), "params.py lacks a name")
if params["dat_path"] and pathlib.Path(params["dat_path"]).is_file():
    frame = params["n_channels_dat"] * np.dtype(params["dtype"]).itemsize
    size = pathlib.Path(params["dat_path"]).stat().st_size - params["offset"]
    check(size == n_samples * frame, "params.py describes a raw file of another length")

# phylib. It cannot open a folder without any spike (phylib 2.7.1), SpikeInterface can.
if n_spikes:
    from phylib.io.model import load_model

    model = load_model(phy / "params.py")
    check(model.n_spikes == n_spikes and model.n_templates == n_units and model.n_channels == n_channels, "phylib: sizes")
    check(np.array_equal(model.spike_samples, times), "phylib: spike times")
    check(np.array_equal(model.spike_clusters, clusters), "phylib: clusters")
    check(np.allclose(model.amplitudes, array["amplitudes"]), "phylib: amplitudes")
    check(np.array_equal(model.channel_positions, array["channel_positions"]), "phylib: positions")
    check(len(model.metadata["group"]) == n_units and set(model.metadata["group"].values()) <= {"good", "mua", "noise"}, "phylib: groups")
    unit = int(units[0])
    check(model.get_template(unit).template.shape[0] == n_taps, "phylib: templates")
    check(model.get_features(np.arange(min(5, n_spikes)), [0]).shape[0] == min(5, n_spikes), "phylib: features")
    check(model.traces is None or model.traces.shape[0] == n_samples, "phylib: raw data")
    model.close()

# SpikeInterface's two readers give the trains of the files.
for reader in (read_phy, read_kilosort):
    sorting = reader(phy)
    name = reader.__name__
    check(sorting.sampling_frequency == rate, f"{name}: rate")
    check(set(int(unit) for unit in sorting.unit_ids) == set(int(unit) for unit in units), f"{name}: units {sorting.unit_ids}")
    for unit in sorting.unit_ids:
        check(np.array_equal(sorting.get_unit_spike_train(unit), times[clusters == int(unit)]), f"{name}: spikes of unit {unit}")

# The columns of metrics.csv against SpikeInterface's own functions.
rows = list(csv.DictReader((result / "metrics.csv").open()))
check([int(row["unit_id"]) for row in rows] == list(range(n_units)), "metrics.csv does not list the units in order")
trains = {unit: np.sort(times[clusters == unit]) for unit in range(n_units)}
if n_units:
    sorting = si.NumpySorting.from_unit_dict([trains], rate)
    recording = si.generate_recording(num_channels=1, sampling_frequency=rate, durations=[(n_samples + 0.5) / rate])
    assert recording.get_num_samples() == n_samples
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=False)
    presence = compute_presence_ratios(analyzer)
    isi = compute_isi_violations(analyzer)
    refractory = compute_refrac_period_violations(analyzer)


def compare(row, column, expected, tolerance=2e-6):
    """Both absent, or equal up to the six decimals of the table."""
    found = float(row[column]) if row[column] else math.nan
    both_absent = math.isnan(found) and math.isnan(expected)
    check(both_absent or abs(found - expected) <= tolerance * max(1, abs(expected)), f"unit {row['unit_id']}: {column} is {found}, SpikeInterface has {expected}")


for row in rows:
    unit = int(row["unit_id"])
    train = trains[unit]
    compare(row, "n_spikes", len(train))
    compare(row, "firing_rate_hz", len(train) / (n_samples / rate))
    compare(row, "presence_ratio", float(presence[unit]))
    # SpikeInterface compares rounded seconds: an interval of exactly 1.5 ms falls on either side.
    on_edge = int(np.sum(np.diff(train) == round(0.0015 * rate)))
    count = float(isi.isi_violations_count[unit])
    compare(row, "isi_violations_count", count, tolerance=on_edge / max(1, count) + 1e-9)
    per_violation = (n_samples / rate) / (2 * len(train) ** 2 * 0.0015)
    compare(row, "isi_violations_ratio", float(isi.isi_violations_ratio[unit]), tolerance=2e-6 + on_edge * per_violation)
    compare(row, "rp_contamination", float(refractory.rp_contamination[unit]))
    amplitudes = array["amplitudes"][clusters == unit]
    with np.errstate(all="ignore"):
        expected = amplitude_cutoff(amplitudes) if np.ptp(amplitudes) > 0 else math.nan
    compare(row, "amplitude_cutoff", float(expected))
    main_channel = int(np.argmax(np.ptp(array["templates_uv"][unit], axis=0)))
    check(row["main_channel"] != "" and array["templates_uv"][unit].any(), f"unit {unit}: no template on channel {main_channel}")

# Deviations of the waveforms, with scipy's filter: the same where all spikes of a unit were looked at, alike where some were.
raw_path = pathlib.Path(params["dat_path"]) if params["dat_path"] else None
if n_units and raw_path and raw_path.with_name("recording.json").is_file():
    gain_uv = json.loads(raw_path.with_name("recording.json").read_text())["gain_uv"]
    raw = np.fromfile(raw_path, params["dtype"]).reshape(-1, params["n_channels_dat"])[:, array["channel_map"]] * gain_uv
    high_pass = butter(3, manifest["parameters"]["preprocessing"]["highpass_hz"], "highpass", fs=rate, output="sos")
    filtered = sosfiltfilt(high_pass, raw, axis=0)
    shanks = [np.flatnonzero(array["channel_shanks"] == shank) for shank in np.unique(array["channel_shanks"])]
    groups = [shank for shank in shanks if len(shank) >= 16]
    small = [shank for shank in shanks if len(shank) < 16]
    pooled = np.concatenate(small) if small else []
    for group in [*groups, *([pooled] if len(pooled) >= 16 else [])]:
        filtered[:, group] -= np.median(filtered[:, group], axis=1, keepdims=True)
    before = round(manifest["parameters"]["templates"]["before_ms"] * rate / 1000)
    for unit, train in trains.items():
        train = train[(train >= before) & (train <= n_samples - (n_taps - before))]
        found = array["templates_sd_uv"][unit]
        measured = np.isfinite(found)
        if len(train) < 2:
            check(not measured.any(), f"unit {unit}: a deviation of {len(train)} spikes")
            continue
        check(measured[:, np.argmax(np.ptp(array["templates_uv"][unit], axis=0))].all(), f"unit {unit}: no deviation on its channel")
        expected = np.std([filtered[spike - before : spike - before + n_taps] for spike in train], axis=0)
        ratio = found[measured] / expected[measured]
        # 32 bits, and margins of a block in place of the whole recording. Of more than 100 spikes only some are looked at: a large
        # spike beneath one of them is a single value's deviation, not that of most.
        off = np.abs(ratio - 1)
        holds = off.max() < 0.01 if len(train) <= 100 else np.percentile(off, 90) < 0.3 and abs(np.median(ratio) - 1) < 0.1
        check(holds, f"unit {unit}: deviations are {ratio.min():.3f} to {ratio.max():.3f} of scipy's")

for mismatch in mismatches:
    print("mismatch:", mismatch)
print(f"{result.name}: {n_units} units, {n_spikes} spikes, {n_channels} channels; phylib, SpikeInterface {si.__version__}, DataJoint's rule: "
      + ("all agree" if not mismatches else f"{len(mismatches)} mismatches"))
sys.exit(bool(mismatches))
