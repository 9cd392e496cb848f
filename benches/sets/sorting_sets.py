"""Ground-truth recordings beyond the four open ones: made, sorted, scored, in one table.

usage: sorting_sets.py make SETS [NAME ...]             writes SETS/NAME (a few minutes, about 5 GB)
       sorting_sets.py sort SETS [NAME ...]             `somata sort SETS/NAME --out SETS/NAME.somata --device cpu`
       sorting_sets.py peer SETS SORTER [NAME ...]      a sorter of SpikeInterface (spykingcircus2, kilosort4, ...)
       sorting_sets.py table SETS                       what was measured, as Markdown
SOMATA names the binary (default: `somata`). Needs `pip install "spikeinterface[full]"`; every run appends one line to SETS/results.jsonl.

Half of the sets come from somata's own simulator, half from SpikeInterface's, so that no sorter meets one generator only.
All are sorted with the same defaults. The first four are the open sets that the README quotes.
"""
import json, os, pathlib, resource, subprocess, sys, time, warnings

warnings.filterwarnings("ignore")
SOMATA = os.environ.get("SOMATA", "somata")


def own(kind, channels, units, seconds, seed, **options):
    return dict(by="somata", kind=kind, channels=channels, units=units, seconds=seconds, seed=seed, options=options)


def theirs(kind, channels, units, seconds, seed, **options):
    return dict(by="spikeinterface", kind=kind, channels=channels, units=units, seconds=seconds, seed=seed, options=options)


SETS = {
    "static64": theirs("static", 64, 40, 60, 12),
    "drift64": theirs("drift", 64, 40, 60, 11),
    "utah96": theirs("utah", 96, 110, 60, 13, tiled_noise=True),
    "utah96f": theirs("utah", 96, 110, 60, 13),
    "tetrodes16": own("tetrode", 16, 16, 60, 201),
    "twoshank64": own("two-shank", 64, 40, 60, 202),
    "linear32": own("linear", 32, 24, 60, 203),
    "nonrigid64": own("nonrigid", 64, 40, 60, 204),
    "jumps64": own("jumps", 64, 40, 60, 205),
    "slow64": own("slow", 64, 40, 120, 206, drift_amplitude=25),
    "zigzag96": own("drift", 96, 60, 60, 207, drift_amplitude=50),
    "static384": own("static", 384, 200, 20, 208),
    "noisy32": theirs("static", 32, 20, 60, 209, noise=12.0),
    "drift128": theirs("drift", 128, 80, 60, 210),
    "utah96sparse": theirs("utah", 96, 60, 60, 211),
    "long16": theirs("static", 16, 10, 1200, 212),
    "busy64": theirs("static", 64, 60, 40, 213, rates=(10.0, 40.0)),
    "quiet32": theirs("drift", 32, 20, 120, 214, rates=(0.5, 4.0)),
}


def make(folder, spec):
    if spec["by"] == "somata":
        options = [part for key, value in spec["options"].items() for part in (f"--{key.replace('_', '-')}", str(value))]
        subprocess.run([SOMATA, "simulate", "recording", folder, "--kind", spec["kind"], "--channels", str(spec["channels"]),
                        "--units", str(spec["units"]), "--seconds", str(spec["seconds"]), "--seed", str(spec["seed"]), *options], check=True)
    else:
        make_by_spikeinterface(folder, **{k: v for k, v in spec.items() if k not in ("by", "options")}, **spec["options"])


def make_by_spikeinterface(folder, kind, channels, units, seconds, seed, noise=8.0, rates=None, tiled_noise=False):
    """The sets of SpikeInterface's generators: a checkerboard of four columns at 20 um (still, or with a zigzag of 20 um to
    each side), or a Utah array whose units sit at random electrodes."""
    import numpy as np, probeinterface, spikeinterface.full as si
    from spikeinterface.core.generate import InjectTemplatesRecording, NoiseGeneratorRecording, generate_sorting, generate_templates
    from spikeinterface.generation import generate_drifting_recording

    folder.mkdir(parents=True, exist_ok=True)
    if kind == "utah":
        sites = np.array([(c * 400.0, r * 400.0) for r in range(10) for c in range(10) if (r, c) not in ((0, 0), (0, 9), (9, 0), (9, 9))])
        assert channels == len(sites)
        probe = probeinterface.Probe(ndim=2, si_units="um")
        probe.set_contacts(positions=sites, shapes="circle", shape_params={"radius": 15})
        probe.set_device_channel_indices(np.arange(len(sites)))
        random = np.random.default_rng(seed)
        at = random.choice(len(sites), size=units, replace=True)
        location = np.c_[sites[at] + random.uniform(-25, 25, (units, 2)), random.uniform(8, 35, units)]
        fs = 30000.0
        sorting = generate_sorting(num_units=units, sampling_frequency=fs, durations=[seconds], firing_rates=rates or (2.0, 20.0),
                                   refractory_period_ms=4.0, seed=seed)
        parent = NoiseGeneratorRecording(num_channels=len(sites), sampling_frequency=fs, durations=[seconds], noise_levels=noise, seed=seed,
                                         strategy="tile_pregenerated" if tiled_noise else "on_the_fly")
        factor = np.random.default_rng(seed).normal(1, 0.08, sorting.to_spike_vector().size)
        recording = InjectTemplatesRecording(sorting, generate_templates(sites, location, fs, 1.0, 3.0, seed=seed), nbefore=30,
                                             amplitude_factor=factor, parent_recording=parent)
        recording.set_probe(probe)
    else:
        probe = probeinterface.generate_multi_columns_probe(
            num_columns=4, num_contact_per_column=channels // 4, xpitch=16, ypitch=40, y_shift_per_column=[20, 0, 20, 0],
            contact_shapes="square", contact_shape_params={"width": 12})
        probe.set_device_channel_indices(np.arange(channels))
        still, moving, sorting, extra = generate_drifting_recording(
            num_units=units, duration=seconds, probe=probe, seed=seed, extra_outputs=True,
            generate_unit_locations_kwargs=dict(margin_um=20.0, minimum_z=5.0, maximum_z=45.0, minimum_distance=18.0, max_iteration=100,
                                                distance_strict=False),
            generate_displacement_vector_kwargs=dict(
                displacement_sampling_frequency=5.0, drift_start_um=[0, 20], drift_stop_um=[0, -20], drift_step_um=1,
                motion_list=[dict(drift_mode="zigzag", non_rigid_gradient=None, t_start_drift=seconds * 0.1, t_end_drift=None,
                                  period_s=max(seconds / 2, 30))]),
            generate_noise_kwargs=dict(noise_levels=(noise * 0.8, noise * 1.2), spatial_decay=25.0),
            generate_sorting_kwargs=dict(firing_rates=rates or (2.0, 15.0), refractory_period_ms=4.0))
        recording = moving if kind == "drift" else still
        location = extra["unit_locations"]
    fs, n, c, gain = recording.get_sampling_frequency(), recording.get_num_samples(), recording.get_num_channels(), 0.195
    random = np.random.default_rng(seed + 999)
    offset, phase = random.normal(0, 40, c), random.uniform(0, 2 * np.pi)
    with open(folder / "recording.bin", "wb") as out:
        for start in range(0, n, int(2 * fs)):
            stop = min(n, start + int(2 * fs))
            t = np.arange(start, stop) / fs
            # Hum, a slow wave and an offset on every channel, so that filter and reference have something to remove.
            common = 30 * np.sin(2 * np.pi * 50 * t + phase) + 20 * np.sin(2 * np.pi * 3.1 * t)
            x = recording.get_traces(start_frame=start, end_frame=stop).astype("float32") + common[:, None] + offset
            out.write(np.clip(np.round(x / gain), -32768, 32767).astype("int16").tobytes())
    json.dump(dict(sampling_frequency=fs, n_channels=c, n_samples=int(n), dtype="int16", gain_uv=gain, offset_uv=0.0),
              open(folder / "recording.json", "w"), indent=1)
    probeinterface.write_probeinterface(folder / "probe.json", probe)
    v = sorting.to_spike_vector()
    np.savez(folder / "truth.npz", samples=v["sample_index"].astype("int64"), labels=v["unit_index"].astype("int64"),
             unit_locations=np.asarray(location), fs=fs)


def validate(result, truth, good_only=False):
    found = json.loads(subprocess.run([SOMATA, "validate", result, truth, "--json", *(["--good-only"] if good_only else [])],
                                      check=True, capture_output=True, text=True).stdout)
    return {k: v for k, v in found["sorting"].items() if k != "per_unit"} | dict(
        accuracies=[round(unit["accuracy"], 4) for unit in found["sorting"]["per_unit"]],
        collision_recall=found["collisions"]["recall"], n_colliding=found["collisions"]["n_colliding"], motion=found.get("motion"))


def sort(sets, name):
    out = sets / f"{name}.somata"
    subprocess.run(["rm", "-rf", out, f"{out}.work"], check=True)
    start = time.time()
    subprocess.run([SOMATA, "sort", sets / name, "--out", out, "--device", "cpu", "--quiet"], check=True)
    seconds = time.time() - start
    manifest = json.load(open(out / "manifest.json"))
    record(sets, name, "somata", seconds, validate(out, sets / name),
           stages={s["stage"]: s["seconds"] for s in manifest["stages"]}, peak_mb=peak_of_children_mb(),
           good=validate(out, sets / name, good_only=True))


def peer(sets, sorter, name):
    import numpy as np, probeinterface, spikeinterface.full as si
    folder, m = sets / name, json.load(open(sets / name / "recording.json"))
    recording = si.read_binary(folder / "recording.bin", sampling_frequency=m["sampling_frequency"], dtype=m["dtype"], num_channels=m["n_channels"],
                               gain_to_uV=m["gain_uv"], offset_to_uV=0.0)
    probes = probeinterface.read_probeinterface(folder / "probe.json").probes
    group = probeinterface.ProbeGroup()
    [group.add_probe(probe) for probe in probes]
    recording = recording.set_probegroup(group) or recording
    out = sets / f"{name}.{sorter}"
    start = time.time()
    spikes = si.run_sorter(sorter, recording, folder=out, remove_existing_folder=True, verbose=False).to_spike_vector()
    seconds = time.time() - start
    phy = out / "phy"
    phy.mkdir()
    (phy / "params.py").write_text(f"sample_rate = {m['sampling_frequency']}\nn_channels_dat = {m['n_channels']}\n")
    np.save(phy / "spike_times.npy", spikes["sample_index"].astype("int64"))
    np.save(phy / "spike_clusters.npy", spikes["unit_index"].astype("int32"))
    record(sets, name, sorter, seconds, validate(phy, folder), peak_mb=max(peak_of_children_mb(), peak_of_self_mb()))


def peak_of_children_mb():
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)


def peak_of_self_mb():
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def record(sets, name, sorter, seconds, score, **more):
    row = dict(set=name, sorter=sorter, seconds=round(seconds, 2), score=score, **more)
    with open(sets / "results.jsonl", "a") as log:
        log.write(json.dumps(row) + "\n")
    print(cells(row), flush=True)


def cells(row):
    s, good = row["score"], row.get("good")
    speed = SETS[row["set"]]["seconds"] / row["seconds"]
    return (f"| {row['set']} | {row['sorter']} | {row['seconds']:.1f} | {speed:.1f} | {s['mean_accuracy']:.3f} | {s['n_well_detected']} of {s['n_true']} | "
            f"{s['n_false_positive']} + {s['n_redundant']} | {s['collision_recall']:.3f} | "
            + (f"{good['n_well_detected']} of {good['n_tested']}" if good else "-") + " | "
            + (f"{s['motion']['median_abs_um']:.2f}" if s.get("motion") else "-") + " |")


def table(sets):
    latest = {}
    for line in open(sets / "results.jsonl"):
        row = json.loads(line)
        latest[row["set"], row["sorter"]] = row
    print("| set | sorter | s | x real time | accuracy | well detected | false + redundant | collision recall | well of `good` | motion, um |\n"
          + "|---" * 10 + "|")
    for name in SETS:
        for (set_name, _), row in latest.items():
            if set_name == name:
                print(cells(row))
    for sorter in sorted({sorter for _, sorter in latest}):
        rows = [row for (_, s), row in latest.items() if s == sorter]
        print(f"\n{sorter}: mean accuracy over {len(rows)} sets {sum(r['score']['mean_accuracy'] for r in rows) / len(rows):.4f}", end="")
        if all(row.get("good") for row in rows):
            good, well, both = (sum(f(r) for r in rows) for f in (
                lambda r: r["good"]["n_tested"], lambda r: r["score"]["n_well_detected"], lambda r: r["good"]["n_well_detected"]))
            print(f"; labelled good {good}, of them well detected {both}; well detected {well}", end="")
    print()


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("make", "sort", "peer", "table"):
        sys.exit(__doc__)
    action, sets, rest = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    sets.mkdir(parents=True, exist_ok=True)
    if action == "table":
        return table(sets)
    sorter = rest.pop(0) if action == "peer" else None
    for name in rest or SETS:
        if action == "make":
            make(sets / name, SETS[name])
        elif action == "sort":
            sort(sets, name)
        elif len(rest) == 1:
            peer(sets, sorter, name)
        else:  # a process of its own, so that one failure or one peak of memory stays with its set
            subprocess.run([sys.executable, __file__, "peer", sets, sorter, name])


if __name__ == "__main__":
    main()
