"""Small Open Ephys sessions in the binary format, and what neo reads from them -> open_ephys/

pip install neo==0.14.6 numpy; run in this folder: python make_open_ephys.py
The writer follows Open Ephys' page "Binary Format". open_ephys/expected.json has rate, ids, gains and segments of each stream;
the sample of stored column c at time t of recording r is (37 t + 1000 c + 500 r) mod 4001 - 2000 throughout, which the script
checks against neo.
"""
import json, pathlib, shutil
import numpy as np
from neo.rawio import OpenEphysBinaryRawIO

here = pathlib.Path(__file__).parent
folder = here / "open_ephys"
shutil.rmtree(folder, ignore_errors=True)


def samples(n, n_channels, recording):
    t = np.arange(n)[:, None]
    return ((37 * t + 1000 * np.arange(n_channels) + 500 * recording) % 4001 - 2000).astype("<i2")


def channel(name, bit_volts, units):
    kind = "ADC data channel" if "ADC" in name else "Headstage data channel"
    return dict(channel_name=name, description=kind, identifier="genericdata.continuous", history="Source -> Record Node", bit_volts=bit_volts, units=units)


def board(units=True):
    """Four electrodes, one accelerometer axis, two analog inputs."""
    neural = [channel(f"CH{i + 1}", 0.195, "uV" if units else "") for i in range(4)]
    return neural + [channel("AUX1", 3.74e-2, "mV")] + [channel(f"ADC{i + 1}", 0.00015258789, "V" if units else "") for i in range(2)]


def probe(band, bit_volts):
    return [channel(f"{band}{i}", bit_volts, "uV") for i in range(3)] + [channel(f"{band}_SYNC", 1.0, "")]


def write(recording, streams, version, numbers, recording_index):
    """numbers: one array of sample numbers a stream."""
    entries = []
    for (name, rate, channels), clock in zip(streams, numbers):
        stream = recording / "continuous" / name
        stream.mkdir(parents=True)
        (stream / "continuous.dat").write_bytes(samples(len(clock), len(channels), recording_index).tobytes())
        if version >= "0.6":
            np.save(stream / "sample_numbers.npy", clock.astype("<i8"))
            np.save(stream / "timestamps.npy", clock / rate + 0.25)
        else:
            np.save(stream / "timestamps.npy", clock.astype("<i8"))
        entry = dict(folder_name=name + "/", sample_rate=rate, source_processor_name=name.split("-")[0], source_processor_id=100, num_channels=len(channels), channels=channels)
        entry["recorded_processor"] = "Record Node"
        if version >= "0.6":
            entry["stream_name"] = name.split(".")[-1]
        entries.append(entry)
    oebin = {"GUI version": version, "continuous": entries, "events": [], "spikes": []}
    (recording / "structure.oebin").write_text(json.dumps(oebin, indent=1))


def run(start, n, *gaps):
    """n numbers from start on, with (index, missing) gaps."""
    clock = np.arange(start, start + n)
    for index, missing in gaps:
        clock[index:] += missing
    return clock


# 0.6: two recordings of one experiment, the second with two gaps; settings beside them.
node = folder / "board" / "Record Node 101"
streams = [("Acquisition_Board-100.Rhythm Data", 30000.0, board())]
write(node / "experiment1" / "recording1", streams, "0.6.4", [run(15000, 150)], 0)
write(node / "experiment1" / "recording2", streams, "0.6.4", [run(90000, 100, (40, 7), (41, 600))], 1)
# 0.4: no record node, whole numbers in timestamps.npy, no units.
write(folder / "old" / "experiment1" / "recording1", [("Rhythm_FPGA-100.0", 25000.0, board(units=False))], "0.4.6", [run(2500, 120)], 0)
# Two bands of a probe and their sync words.
bands = [("Neuropix-PXI-100.ProbeA-AP", 30000.0, probe("AP", 0.19499999284744263)), ("Neuropix-PXI-100.ProbeA-LFP", 2500.0, probe("LFP", 4.6799998283386229))]
write(folder / "bands" / "Record Node 102" / "experiment1" / "recording1", bands, "0.5.5", [run(1200, 120), run(100, 10)], 0)

expected = {}
for name in ["board", "old", "bands"]:
    reader = OpenEphysBinaryRawIO(str(folder / name))
    reader.parse_header()
    all_channels = reader.header["signal_channels"]
    expected[name] = []
    for index, (stream_name, stream_id) in enumerate(reader.header["signal_streams"][["name", "id"]]):
        if "ADC" in stream_name or "SYNC" in stream_name:
            continue
        channels = all_channels[all_channels["stream_id"] == stream_id]
        keep = [i for i, n in enumerate(channels["name"]) if "AUX" not in n]
        scale = [{"uV": 1.0, "mV": 1e3, "V": 1e6}[u] for u in channels["units"]]
        one = dict(stream=stream_name.split("#")[-1], rate=float(channels["sampling_rate"][0]), ids=[str(channels["id"][i]) for i in keep],
                   gains=[float(channels["gain"][i]) * scale[i] for i in keep], recordings=[])
        for segment in range(reader.segment_count(0)):
            got = np.asarray(reader.get_analogsignal_chunk(0, segment, None, None, index))
            assert (got[:, keep] == samples(len(got), len(channels), segment)[:, keep]).all()
            one["recordings"].append([len(got), float(reader.get_signal_t_start(0, segment, index))])
        expected[name].append(one)
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
print(json.dumps(expected, indent=1))
