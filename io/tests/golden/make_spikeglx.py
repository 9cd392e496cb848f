"""What neo, probeinterface and SpikeInterface read from the .meta files in spikeglx_meta/ -> spikeglx.json

pip install spikeinterface==0.105.3 neo==0.14.6 probeinterface==0.4.2; run in this folder: python make_spikeglx.py
Per file: rate, gains (neo), contact positions and shanks (probeinterface), delays (SpikeInterface). A value that a tool cannot give is null.
A list that several files share is stored once, in "lists"; files name its position there. Delays are stored in 1/208 of a sample
period (208 = 13 x 16), which makes whole numbers of those of all probes.
"""
import json, pathlib, warnings
import numpy as np
import probeinterface
from neo.rawio import spikeglxrawio
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

warnings.simplefilter("ignore")
here = pathlib.Path(__file__).parent
out = {}


lists = []


def shared(values):
    values = [int(v) if float(v).is_integer() else float(v) for v in values]
    if values not in lists:
        lists.append(values)
    return lists.index(values)


for path in sorted((here / "spikeglx_meta").glob("*.meta")):
    one = {}
    meta = spikeglxrawio.read_meta_file(path)
    try:
        info = spikeglxrawio.extract_stream_info(str(path), meta)
        one["rate"] = info["sampling_rate"]
        one["n_stored"] = info["num_chan"]
        one["first_name"] = str(info["channel_names"][0])
        one["gains_uv"] = shared(float(g) * (1e6 if info["units"] == "V" else 1) for g in info["channel_gains"])
    except Exception as error:
        one["neo_error"] = repr(error)[:200]
    try:
        probe = probeinterface.read_spikeglx(path)
        one["x"] = shared(probe.contact_positions[:, 0])
        one["y"] = shared(probe.contact_positions[:, 1])
        one["shank"] = shared([int(s) if s else 0 for s in probe.shank_ids] if probe.shank_ids is not None else [0] * probe.get_contact_count())
        one["delay_208ths"] = shared(np.round(get_neuropixels_sample_shifts_from_probe(probe) * 208, 9))
    except Exception as error:
        one["probe_error"] = repr(error)[:200]
    out[path.name] = one
text = json.dumps(dict(lists=lists, files=out), separators=(",", ":")).replace('],[', '],\n[').replace('},"', '},\n"')
(here / "spikeglx.json").write_text(text + "\n")
for name, one in out.items():
    print(name, one)
print(len(text))
