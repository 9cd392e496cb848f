"""Small NSx files of each specification, and what neo reads from them -> nsx/

pip install neo==0.14.6 numpy; run in this folder: python make_nsx.py
The writer follows Blackrock's "NEV and NSx file specification". nsx/expected.json has rate, ids, gains, offsets and segments;
samples of channel c at time t are (37 t + 1000 c) mod 4001 - 2000 throughout, which the script checks against neo.
"""
import json, pathlib, struct
import numpy as np
from neo.rawio import BlackrockRawIO

here = pathlib.Path(__file__).parent
folder = here / "nsx"
folder.mkdir(exist_ok=True)
IDS = [3, 1, 66, 130]          # not in order; 130 is an analog input
LABELS = ["chan3", "chan1", "chan66", "ainp2"]
UNITS = ["uV", "uV", "uV", "mV"]
ANALOG = [(-8191, 8191), (-8191, 8191), (-4000, 6000), (-5000, 5000)]
DIGITAL = [(-32764, 32764), (-32764, 32764), (-16000, 16000), (-32767, 32767)]


def samples(start, stop):
    t = np.arange(start, stop)[:, None]
    return ((37 * t + 1000 * np.arange(len(IDS))) % 4001 - 2000).astype("<i2")


def header(mark, version, resolution, period=1):
    n = len(IDS)
    head = mark + bytes(version) + struct.pack("<I", 314 + 66 * n) + b"30 kS/s".ljust(16, b"\0") + b"golden file".ljust(256, b"\0")
    head += struct.pack("<II8HI", period, resolution, 2026, 11, 2, 24, 3, 0, 0, 0, n)
    assert len(head) == 314
    for i in range(n):
        one = b"CC" + struct.pack("<H", IDS[i]) + LABELS[i].encode().ljust(16, b"\0") + struct.pack("<BB4h", IDS[i] // 32, IDS[i] % 32, *DIGITAL[i], *ANALOG[i])
        one += UNITS[i].encode().ljust(16, b"\0") + struct.pack("<IIHIIH", 300, 4, 1, 7500000, 3, 1)
        assert len(one) == 66
        head += one
    return head


def packet(time, start, stop, wide):
    return b"\x01" + struct.pack("<QI" if wide else "<II", time, stop - start) + samples(start, stop).tobytes()


def nev():
    """Only headers: the digitization factors that specification 2.1 needs, 250 nV a step."""
    head = b"NEURALEV" + bytes([2, 1]) + struct.pack("<HIIII8H", 1, 336 + 32 * len(IDS), 104, 30000, 30000, 2026, 11, 2, 24, 3, 0, 0, 0)
    head += b"golden".ljust(32, b"\0") + b"".ljust(256, b"\0") + struct.pack("<I", len(IDS))
    assert len(head) == 336
    for i in IDS:
        head += (b"NEUEVWAV" + struct.pack("<HBBHHhhBB", i, 1, 1, 250, 0, 0, 0, 0, 2)).ljust(32, b"\0")
    return head


files = {
    "spec21.ns5": b"NEURALSG" + b"30 kS/s".ljust(16, b"\0") + struct.pack("<II4I", 1, 4, *IDS) + samples(0, 200).tobytes(),
    "spec22.ns5": header(b"NEURALCD", [2, 2], 30000) + packet(90, 0, 200, False),
    "spec23_pauses.ns6": header(b"NEURALCD", [2, 3], 30000) + packet(0, 0, 80, False) + packet(3000, 80, 95, False) + packet(9000, 95, 200, False),
    "spec23_1khz.ns2": header(b"NEURALCD", [2, 3], 30000, period=30) + packet(60, 0, 50, False),
    "spec30.ns6": header(b"BRSMPGRP", [3, 0], 30000) + packet(2**33, 0, 120, True) + packet(2**33 + 30000, 120, 200, True),
}
# PTP: one sample a packet, nanoseconds, jitter below a period, one pause of 50 ms.
rng = np.random.default_rng(1)
times = 1_700_000_000_000_000_000 + np.round(np.arange(200) * 1e9 / 30000).astype("int64") + rng.integers(-8000, 8000, 200)
times[150:] += 50_000_000
files["spec30_ptp.ns6"] = header(b"BRSMPGRP", [3, 0], 10**9) + b"".join(packet(int(times[i]), i, i + 1, True) for i in range(200))
(folder / "spec21.nev").write_bytes(nev())
expected = {}
for name, content in files.items():
    (folder / name).write_bytes(content)
    number = int(name[-1])
    kwargs = dict(gap_tolerance_ms=1.0) if "ptp" in name else {}
    reader = BlackrockRawIO(filename=str(folder / name[:-4]), nsx_to_load=number, load_nev="21" in name, **kwargs)
    reader.parse_header()
    channels = reader.header["signal_channels"]
    one = dict(rate=float(channels["sampling_rate"][0]), ids=[int(i) for i in channels["id"]], labels=[str(n) for n in channels["name"]],
               units=[str(u) for u in channels["units"]], gains=[float(g) for g in channels["gain"]], offsets=[float(o) for o in channels["offset"]], segments=[])
    done = 0
    for segment in range(reader.segment_count(0)):
        parts = []
        for stream in range(reader.signal_streams_count()):
            parts.append(np.asarray(reader.get_analogsignal_chunk(0, segment, None, None, stream)))
        got = np.concatenate(parts, axis=1)
        assert (got == samples(done, done + len(got))).all(), (name, segment)
        done += len(got)
        one["segments"].append([len(got), float(reader.get_signal_t_start(0, segment, 0))])
    written = 50 if "1khz" in name else 200
    if name == "spec21.ns5":  # neo 0.14.6 leaves out the last frame of specification 2.1
        assert done == written - 1
        one["segments"][0][0] = written
    else:
        assert done == written, (name, done)
    expected[name] = one
    print(name, one)
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
rows = [(0, 9, "A", 1, "chan1"), (1, 9, "A", 3, "chan3"), (5, 2, "C", 2, "chan66"), (9, 0, "C", 32, "chan96")]
text = "// made by make_nsx.py\r\nGolden map\r\n//col\trow\tbank\telec\tlabel\r\n" + "".join("\t".join(map(str, r)) + "\r\n" for r in rows)
(folder / "map").mkdir(exist_ok=True)
(folder / "map" / "array.cmp").write_bytes(text.encode())
