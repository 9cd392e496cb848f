"""Where the electrodes of real Open Ephys settings are -> open_ephys_settings/

pip install probeinterface==0.4.2 spikeinterface==0.105.3 numpy; run in this folder: python make_open_ephys_settings.py PROBEINTERFACE
PROBEINTERFACE is a checkout of github.com/SpikeInterface/probeinterface at 7092508 (MIT licence), whose tests/data/openephys has
settings.xml of real sessions. They are cut down here to what tells the version, the processors and their streams, and the probes, and
some structure.oebin to the streams' names, rates and channels. expected.json has, per file and stream, [number in the name, x, y, shank] a channel:
- where structure.oebin is there, in its order, the place of the electrode whose number it gives, from probeinterface's catalogue;
- else by channel from 0, as probeinterface.read_openephys places them.
x and y are up to one constant in x a stream.
"""
import json, pathlib, re, shutil, sys, warnings
import xml.etree.ElementTree as ET
import numpy as np
from probeinterface import neuropixels_tools
from spikeinterface.extractors.neuropixels_utils import get_neuropixels_sample_shifts_from_probe

warnings.simplefilter("ignore")
source = pathlib.Path(sys.argv[1]) / "tests/data/openephys"
folder = pathlib.Path(__file__).parent / "open_ephys_settings"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()

KEPT = {"INFO", "VERSION", "SIGNALCHAIN", "PROCESSOR", "STREAM", "CUSTOM_PARAMETERS", "EDITOR", "NP_PROBE", "CHANNELS", "ELECTRODE_XPOS", "ELECTRODE_YPOS"}
ATTRIBUTES = {
    "PROCESSOR": ["name", "nodeId", "NodeId", "libraryVersion"], "STREAM": ["name"],
    "NP_PROBE": ["probe_part_number", "probe_serial_number", "custom_probe_name", "isEnabled", "num_adcs", "shank", "probePartNumber", "probeSerialNumber"],
}

def cut(element):
    for child in list(element):
        if child.tag in KEPT and not (child.tag == "PROCESSOR" and "LFP Viewer" in child.attrib["name"]):
            cut(child)
        else:
            element.remove(child)
    element.text = element.text if element.tag == "VERSION" else None
    element.tail = "\n"
    if element.tag not in ("CHANNELS", "ELECTRODE_XPOS", "ELECTRODE_YPOS"):
        kept = ATTRIBUTES.get(element.tag, [])
        element.attrib = {key: value for key, value in element.attrib.items() if key in kept}

expected = {}

def rows(names, positions, shanks):
    short = lambda um: int(um) if um == int(um) else float(um)
    return [[int(re.search(r"\d+", name)[0]), short(x), short(y), int(shank)] for name, (x, y), shank in zip(names, positions, shanks)]

# With structure.oebin: settings, its folder of the recording, stream.
for name, path, recording, stream in [
    ("np2_one_shank_of_four", "OE_Neuropix-PXI-NP1-binary/Record_Node_101", "experiment1/recording1", "ProbeA"),
    ("nhp", "OE_Neuropix-PXI-NP2-4shank-binary/Record_Node_101", "experiment4/recording2", "ProbeA-AP"),
    ("np2_four_shanks", "OE_Neuropix-PXI-NP2-multishank-binary/Record_Node_109", "experiment1/recording1", "ProbeA"),
    ("onebox_channel_map", "OE_OneBox-NP2014-binary/Record_Node_101", "experiment1/recording1", "ProbeA"),
]:
    settings = ET.parse(source / path / "settings.xml")
    probe = next(settings.getroot().iter("NP_PROBE"))
    part = probe.attrib["probe_part_number"]
    catalogue = neuropixels_tools.build_neuropixels_probe(part)
    structure = json.loads((source / path / recording / "structure.oebin").read_text())
    found = next(s for s in structure["continuous"] if s["stream_name"] == stream)
    channels = [c for c in found["channels"] if "SYNC" not in c["channel_name"]]
    electrodes = [c["channel_metadata"][0]["value"][0] for c in channels]
    shanks = [int(s or 0) for s in catalogue.shank_ids[electrodes]] if catalogue.shank_ids is not None else [0] * len(channels)
    expected[name] = {stream: rows([c["channel_name"] for c in channels], catalogue.contact_positions[electrodes], shanks)}
    kept = {key: found[key] for key in ["folder_name", "sample_rate", "source_processor_name", "source_processor_id", "stream_name", "num_channels"]}
    kept["channels"] = [{key: c[key] for key in ["channel_name", "bit_volts", "units"]} for c in found["channels"]]
    (folder / f"{name}.oebin").write_text(json.dumps({"GUI version": structure["GUI version"], "continuous": [kept]}, separators=(",", ":")).replace('},{', '},\n{') + "\n")
    cut(settings.getroot())
    settings.write(folder / f"{name}.xml")

# Without: every stream of a probe.
for name, path in [
    ("before_06", "OE_5_Neuropix-PXI-multi-probe/settings.xml"),
    ("several_probes", "OE_Neuropix-PXI-multi-probe/settings.xml"),
    ("one_disabled", "OE_6.7_enabled_disabled_Neuropix-PXI/settings_enabled-disabled.xml"),
    ("quad_base", "OE_Neuropix-PXI-QuadBase/settings.xml"),
]:
    settings = ET.parse(source / path)
    root = settings.getroot()
    processor = next(p for p in root.iter("PROCESSOR") if next(p.iter("NP_PROBE"), None) is not None)
    streams = [s.attrib["name"] for s in processor.findall("STREAM") if "ADC" not in s.attrib["name"] and "LFP" not in s.attrib["name"]]
    if name == "quad_base":
        streams = [stream for stream in streams if stream.startswith("ProbeC")]
    streams = streams or [f"{processor.attrib['NodeId']}.{k}" for k in range(len(list(processor.iter("NP_PROBE"))))]
    expected[name] = {}
    for stream in streams:
        probe = neuropixels_tools.read_openephys(source / path, stream_name=stream)
        keys = probe.contact_annotations["settings_channel_key"]
        shanks = [int(s or 0) for s in probe.shank_ids] if probe.shank_ids is not None else [0] * len(keys)
        expected[name][stream] = rows([str(key) for key in keys], probe.contact_positions, shanks)
    cut(root)
    settings.write(folder / f"{name}.xml")

# When the channels of a probe are sampled, in 208ths of a sample period, by its number of converters.
for n_converters, path, stream in [
    ("32", "OE_6.7_enabled_disabled_Neuropix-PXI/settings_enabled-disabled.xml", "ProbeA-AP"), ("24", "OE_1.0_Neuropix-PXI-multi-probe/settings.xml", "ProbeB"),
]:
    probe = neuropixels_tools.read_openephys(source / path, stream_name=stream)
    assert list(probe.contact_annotations["settings_channel_key"]) == [f"CH{n}" for n in range(384)]
    delays = 208 * get_neuropixels_sample_shifts_from_probe(probe)
    expected[f"delays {n_converters}"] = np.round(delays).astype(int).tolist()
    assert np.allclose(delays, np.round(delays))

text = json.dumps(expected, separators=(",", ":")).replace(']],"', ']],\n"')
(folder / "expected.json").write_text(text + "\n")
(folder / "README.txt").write_text(
    "Cut down from settings.xml and structure.oebin in tests/data/openephys of github.com/SpikeInterface/probeinterface at 7092508,\n"
    "MIT licence, copyright (c) 2020 SpikeInterface; see make_open_ephys_settings.py.\n"
)
for path in sorted(folder.iterdir()):
    print(path.name, path.stat().st_size)
print({name: {stream: len(r) for stream, r in streams.items()} for name, streams in expected.items() if isinstance(streams, dict)})
