"""Small Intan recordings of each layout and version, and what neo reads from them -> intan/

pip install neo==0.14.6 numpy; run in this folder: python make_intan.py
The writer follows Intan's "RHD data file formats" and "RHS data file formats". intan/expected.json has rate, ids, gains, offsets
and length; the sample of amplifier channel c at time t is (37 t + 1000 c) mod 4001 - 2000 in signed steps throughout, which the
script checks against neo.
"""
import json, pathlib, shutil, struct
import numpy as np
from neo.rawio import IntanRawIO

here = pathlib.Path(__file__).parent
folder = here / "intan"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
AMPLIFIERS = ["A-000", "A-003", "B-017"]


def text(value):
    if value is None:
        return struct.pack("<I", 0xFFFFFFFF)
    data = value.encode("utf-16-le")
    return struct.pack("<I", len(data)) + data


def channel(name, kind, enabled=1, rhs=False):
    head = text(name) + text(f"my {name} µ") + struct.pack("<hhhh", 0, 0, kind, enabled)
    return head + struct.pack("<hhh" if rhs else "<hh", *([0] * (3 if rhs else 2))) + struct.pack("<hhhhff", 1, 0, 0, 0, 1e5, -45.0)


def groups(digital, rhs=False):
    """Two ports, the second with a channel that is not saved; a group that is off; the board's inputs."""
    port_a = [channel("A-000", 0, rhs=rhs), channel("A-003", 0, rhs=rhs)]
    if not rhs:
        port_a += [channel("A-AUX1", 1), channel("A-AUX2", 1), channel("A-VDD1", 2)]
    port_b = [channel("B-016", 0, enabled=0, rhs=rhs), channel("B-017", 0, rhs=rhs)]
    board = [channel("ANALOG-IN-1", 3, rhs=rhs)]
    if rhs:
        board.append(channel("ANALOG-OUT-1", 4, rhs=True))
    if digital:
        board += [channel("DIGITAL-IN-01", 5 if rhs else 4, rhs=rhs), channel("DIGITAL-IN-02", 5 if rhs else 4, rhs=rhs)]
    out = b""
    listed = [("Port A", "A", 1, port_a), ("Port B", "B", 1, port_b), ("Port C", "C", 0, []), ("Board", "X", 1, board)]
    for name, prefix, enabled, channels in listed:
        out += text(name) + text(prefix) + struct.pack("<hhh", enabled, len(channels), 0) + b"".join(channels)
    return struct.pack("<h", len(listed)) + out


def rhd_header(version, rate, n_temperatures, digital):
    head = struct.pack("<IhhfhffffffhffI", 0xC6912702, *version, rate, 1, 1.0, 0.1, 7500.0, 1.0, 0.1, 7500.0, 0, 1000.0, 1000.0, 0xFFFFFFFF)
    head = head[:-4] + text("first note") + text(None) + text("")
    if version >= (1, 1):
        head += struct.pack("<h", n_temperatures)
    if version >= (1, 3):
        head += struct.pack("<h", 0)
    if version >= (2, 0):
        head += text("A-000")
    return head + groups(digital)


def rhs_header(version, rate, dc):
    head = struct.pack("<IhhfhffffffffhffhhfffI", 0xD69127AC, *version, rate, 1, 1.0, 0.1, 1000.0, 7500.0, 1.0, 0.1, 1000.0, 7500.0, 0, 1000.0, 1000.0, 0, 0, 1e-5, 1e-9, 0.0, 0)
    head = head[:-4] + text("a") + text("b") + text(None)
    return head + struct.pack("<hh", dc, 0) + text(None) + groups(True, rhs=True)


def samples(start, stop):
    t = np.arange(start, stop)[:, None]
    return (37 * t + 1000 * np.arange(len(AMPLIFIERS))) % 4001 - 2000


def blocks(start, n_blocks, block, first_number, n_temperatures=0, digital=False, rhs=False, dc=0):
    out = b""
    for index in range(n_blocks):
        a, b = start + index * block, start + (index + 1) * block
        out += np.arange(first_number + a, first_number + b).astype("<i4").tobytes()
        out += (samples(a, b).T + 32768).astype("<u2").tobytes()
        if rhs:
            out += np.full((3 * (1 + dc), block), 512, "<u2").tobytes()     # DC and stimulation
            out += np.full((2, block), 32768, "<u2").tobytes()              # analog in and out
        else:
            out += np.full((2, block // 4), 7, "<u2").tobytes() + struct.pack("<H", 40000)
            out += struct.pack(f"<{n_temperatures}h", *[2500] * n_temperatures)
            out += np.full((1, block), 9, "<u2").tobytes()
        if digital or rhs:
            out += np.full(block, 3, "<u2").tobytes()
    return out


def write(name, data):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


rhd = lambda version, rate, temperatures, digital: rhd_header(version, rate, temperatures, digital)
write("v10.rhd", rhd((1, 0), 20000.0, 0, False) + blocks(0, 4, 60, 600))
write("v12.rhd", rhd((1, 2), 20000.0, 0, True) + blocks(0, 4, 60, -60, 0, True))
write("v13.rhd", rhd((1, 3), 25000.0, 1, True) + blocks(0, 3, 60, 0, 1, True))
write("v20.rhd", rhd((2, 0), 30000.0, 0, True) + blocks(0, 3, 128, 0, 0, True))
write("v33.rhd", rhd((3, 3), 30000.0, 0, False) + blocks(0, 3, 128, 0))
# One session that the software cut into files, which the names order.
write("session/s_261101_090000.rhd", rhd((3, 0), 30000.0, 0, False) + blocks(0, 2, 128, 0))
write("session/s_261101_100000.rhd", rhd((3, 0), 30000.0, 0, False) + blocks(256, 1, 128, 0))
write("stim.rhs", rhs_header((1, 0), 30000.0, 0) + blocks(0, 3, 128, 0, rhs=True))
write("stim_dc.rhs", rhs_header((3, 0), 30000.0, 1) + blocks(0, 3, 128, 0, rhs=True, dc=1))
clock = np.arange(3000, 3200).astype("<i4").tobytes()
board = np.full(200, 9, "<u2").tobytes()
others = {"auxiliary.dat": np.full((200, 2), 7, "<u2").tobytes(), "supply.dat": board, "analogin.dat": board}
write("signals/info.rhd", rhd((3, 0), 30000.0, 0, False))
write("signals/amplifier.dat", samples(0, 200).astype("<i2").tobytes())
write("signals/time.dat", clock)
for name, data in others.items():
    write(f"signals/{name}", data)
write("channels/info.rhd", rhd((3, 0), 30000.0, 0, False))
write("channels/time.dat", clock)
for index, name in enumerate(AMPLIFIERS):
    write(f"channels/amp-{name}.dat", samples(0, 200)[:, index].astype("<i2").tobytes())
for name in ["aux-A-AUX1", "aux-A-AUX2", "vdd-A-VDD1", "board-ANALOG-IN-1"]:
    write(f"channels/{name}.dat", board)
write("channels_stim/info.rhs", rhs_header((3, 0), 30000.0, 0))
write("channels_stim/time.dat", clock)
for index, name in enumerate(AMPLIFIERS):
    write(f"channels_stim/amp-{name}.dat", samples(0, 200)[:, index].astype("<i2").tobytes())
for name in ["board-ANALOG-IN-1", "board-ANALOG-OUT-1", "board-DIGITAL-IN-01", "board-DIGITAL-IN-02"]:
    write(f"channels_stim/{name}.dat", board)

expected, starts = {}, {"session/s_261101_100000.rhd": 256}
names = ["v10.rhd", "v12.rhd", "v20.rhd", "v33.rhd", "stim.rhs", "stim_dc.rhs", "signals/info.rhd", "channels/info.rhd", "channels_stim/info.rhs",
         "session/s_261101_090000.rhd", "session/s_261101_100000.rhd"]
for name in names:
    reader = IntanRawIO(str(folder / name))
    reader.parse_header()
    streams = list(reader.header["signal_streams"]["name"])
    index = next(i for i, n in enumerate(streams) if "amplifier channel" in n and "DC" not in n)
    channels = reader.header["signal_channels"]
    channels = channels[channels["stream_id"] == reader.header["signal_streams"]["id"][index]]
    got = np.asarray(reader.get_analogsignal_chunk(0, 0, None, None, index)).astype("int64")
    if got.min() >= 0 and name[0] not in "c" and "signals" not in name:
        got = got - 32768
    start = starts.get(name, 0)
    assert (got == samples(start, start + len(got))).all(), name
    expected[name] = dict(rate=float(channels["sampling_rate"][0]), ids=[str(i) for i in channels["id"]], gains=[float(g) for g in channels["gain"]],
                          offsets=[float(o) for o in channels["offset"]], n_samples=len(got), start=start)
    print(name, expected[name])
# neo 0.14.6 fails on files with temperature sensors, so this one is as it was written.
expected["v13.rhd"] = dict(expected["v12.rhd"], rate=25000.0, n_samples=180)
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
