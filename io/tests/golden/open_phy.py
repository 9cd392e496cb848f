"""Opens the phy folders that the test `a_phy_folder_has_every_file_with_its_shape` leaves: phylib, SpikeInterface, DataJoint's rules.

pip install phylib==2.7.1 spikeinterface==0.105.3
usage: python open_phy.py TARGET/tmp/phy_example      (TARGET: cargo's target folder)
"""
import pathlib, sys
import numpy as np
from phylib.io.model import load_model
from spikeinterface.extractors import read_phy, read_kilosort

base = pathlib.Path(sys.argv[1])
for name in ("with_raw", "without_raw"):
    folder = base / name
    model = load_model(folder / "params.py")
    print(name, "dat_path", model.dat_path, "traces", None if model.traces is None else model.traces.shape)
    assert model.n_spikes == 50 and model.n_templates == 3 and model.n_channels == 6 and model.sample_rate == 30000.0
    assert (model.traces is not None) == (name == "with_raw")
    assert model.sparse_features.data.shape == (50, 4, 3) or model.sparse_features.data.shape == (50, 3, 4), model.sparse_features.data.shape
    assert model.get_features([7], [0, 1]).shape[:2] == (1, 2)
    assert model.get_template(1).template.shape[0] == 20
    assert model.metadata["group"][0] == "good" and float(model.metadata["Amplitude"][1]) == 40.0
    assert np.array_equal(model.spike_samples, np.arange(30, 80))
    model.close()
    for reader in (read_phy, read_kilosort):
        sorting = reader(folder)
        assert sorting.sampling_frequency == 30000.0
        print("  ", reader.__name__, sorting.unit_ids, [len(sorting.get_unit_spike_train(u)) for u in sorting.unit_ids], list(sorting.get_property_keys()))
    # DataJoint Element's reader: each line split at "=" gives two parts.
    for line in (folder / "params.py").read_text().split("\n")[:-1]:
        key, value = line.split("=")
    for file in ("params.py", "amplitudes.npy", "channel_map.npy", "channel_positions.npy", "pc_features.npy", "pc_feature_ind.npy",
                 "similar_templates.npy", "spike_templates.npy", "spike_times.npy", "templates.npy", "spike_clusters.npy"):
        assert (folder / file).is_file(), file
print("all opened")

# The probe that the test `a_written_probe_opens_in_probeinterface` leaves.
import probeinterface

group = probeinterface.read_probeinterface(base / "probe.json")
probe = group.probes[0]
assert probe.contact_positions.tolist() == [[1.5, 0.0], [1.5, 1.0], [1.5, 2.0], [1.5, 3.0]]
assert probe.device_channel_indices.tolist() == [0, 1, 2, 3] and probe.shank_ids.tolist() == ["0", "0", "1", "1"]
print("probe opened", probe)
