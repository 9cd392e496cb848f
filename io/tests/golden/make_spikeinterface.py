"""Two folders saved by SpikeInterface -> spikeinterface/, and what SpikeInterface reads from them -> spikeinterface/expected.json

pip install spikeinterface==0.105.3; run in this folder: python make_spikeinterface.py
"""
import json, pathlib, shutil
import numpy as np
import probeinterface
import spikeinterface.core as core

here = pathlib.Path(__file__).parent
folder = here / "spikeinterface"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()


def traces(n, seed, dtype):
    return (np.random.default_rng(seed).normal(size=(n, 4)) * 100).astype(dtype)


def attach(recording, probe):
    (recording.set_probegroup if isinstance(probe, probeinterface.ProbeGroup) else recording.set_probe)(probe)
    return recording


recording = core.NumpyRecording([traces(300, 0, "int16"), traces(200, 1, "int16")], 30000.0, channel_ids=["a", "b", "c", "d"])
recording.set_channel_gains([0.1, 0.2, 0.3, 0.4])
recording.set_channel_offsets([0.0, 1.0, 2.0, 3.0])
probe = probeinterface.generate_linear_probe(4)
probe.set_device_channel_indices([3, 2, 1, 0])
attach(recording, probe)
recording.set_property("inter_sample_shift", np.array([0, 0.1, 0.2, 0.3]))
recording.save(folder=folder / "two_segments", verbose=False)

recording = core.NumpyRecording([traces(300, 2, "float32")], 20000.0)
group = probeinterface.ProbeGroup()
for first in (0, 2):
    probe = probeinterface.generate_linear_probe(2)
    probe.set_device_channel_indices([first, first + 1])
    probe.move([100 * first, 0])
    group.add_probe(probe)
attach(recording, group)
recording.set_times(np.arange(300) / 20000 + 5, 0)
recording.save(folder=folder / "two_probes", verbose=False)

expected = {}
for name in ("two_segments", "two_probes"):
    (folder / name / "provenance.json").unlink(missing_ok=True)
    loaded = core.load(folder / name)
    one = dict(rate=loaded.sampling_frequency, ids=[str(i) for i in loaded.channel_ids], locations=loaded.get_channel_locations().tolist())
    one["gains"] = None if loaded.get_channel_gains() is None else [float(g) for g in loaded.get_channel_gains()]
    one["offsets"] = None if loaded.get_channel_offsets() is None else [float(g) for g in loaded.get_channel_offsets()]
    one["segments"] = [[loaded.get_num_samples(s), float(loaded.get_times(s)[0])] for s in range(loaded.get_num_segments())]
    one["first"] = loaded.get_traces(0, 0, 3).tolist()
    one["last"] = loaded.get_traces(loaded.get_num_segments() - 1)[-1].tolist()
    expected[name] = one
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
print(json.dumps(expected)[:3000])
