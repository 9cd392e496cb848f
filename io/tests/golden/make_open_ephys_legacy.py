"""Small Open Ephys sessions in the legacy format, and what neo reads from them -> open_ephys_legacy/

pip install neo==0.14.6 numpy; run in this folder: python make_open_ephys_legacy.py
The writer follows Open Ephys' page "Open Ephys Format". open_ephys_legacy/expected.json has rate, ids, gains and segments; the sample of
channel c (CH1 is 0) at time t is (37 t + 1000 c) mod 4001 - 2000 throughout, which the script checks against neo.
"""
import json, pathlib, shutil, struct
import numpy as np
from neo.rawio import OpenEphysRawIO

here = pathlib.Path(__file__).parent
folder = here / "open_ephys_legacy"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
MARK = bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 255])


def header(channel, rate, bit_volts, version="0.4"):
    text = f"""header.format = 'Open Ephys Data Format'; 
header.version = {version}; 
header.header_bytes = 1024;
header.description = 'each record contains one 64-bit timestamp, one 16-bit sample count (N), 1 uint16 recordingNumber, N 16-bit samples, and one 10-byte record marker (0 1 2 3 4 5 6 7 8 255)'; 
header.date_created = '2-Nov-2026 90000';
header.channel = '{channel}';
header.channelType = 'Continuous';
header.sampleRate = {rate};
header.blockLength = 1024;
header.bufferSize = 1024;
header.bitVolts = {bit_volts};
"""
    return text.encode().ljust(1024)


def samples(channel, n):
    return (37 * np.arange(n) + 1000 * channel) % 4001 - 2000


def write(name, channel, number, rate, bit_volts, times):
    """times: (first sample number, recording) of each record."""
    data = header(channel, rate, bit_volts)
    values = samples(number, 1024 * len(times)).reshape(-1, 1024)
    for row, (time, recording) in zip(values, times):
        data += struct.pack("<qHH", time, 1024, recording) + row.astype(">i2").tobytes() + MARK
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


# Ten channels, so that the order of numbers is not that of letters; a second recording after a pause; inputs beside.
times = [(30000, 0), (31024, 0), (32048, 0), (90000, 1), (91024, 1)]
for number in range(10):
    write(f"board/100_CH{number + 1}.continuous", f"CH{number + 1}", number, 30000, 0.195, times)
write("board/100_AUX1.continuous", "AUX1", 20, 30000, 3.74e-5, times)
write("board/100_ADC1.continuous", "ADC1", 21, 30000, 0.00015258789, times)
# Two experiments of two channels, in the names of later versions.
for number in range(2):
    write(f"experiments/101_RhythmData-A_CH{number + 1}.continuous", f"CH{number + 1}", number, 20000, 0.25, [(0, 0)])
    write(f"experiments/101_RhythmData-A_CH{number + 1}_2.continuous", f"CH{number + 1}", number, 20000, 0.25, [(40000, 0), (41024, 0)])

expected = {}
# neo fills the pause with zeros; each row here is first sample of neo's, first sample of ours, length.
for name, experiment, key, stretches in [("board", 0, "100", [(0, 0, 3072), (60000, 3072, 2048)]), ("experiments", 0, "101_RhythmData-A", [(0, 0, 1024)]),
                                         ("experiments", 1, "101_RhythmData-A_2", [(0, 0, 2048)])]:
    reader = OpenEphysRawIO(str(folder / name))
    reader.parse_header()
    channels = reader.header["signal_channels"]
    ids = sorted((str(n) for n in channels["name"] if "CH" in n), key=lambda n: int(n[2:]))
    rows = [list(channels["name"]).index(n) for n in ids]
    one = dict(folder=name, rate=float(channels["sampling_rate"][0]), ids=ids, gains=[float(channels["gain"][i]) for i in rows], segments=[])
    stream = list(reader.header["signal_streams"]["id"]).index("CH")
    got = np.asarray(reader.get_analogsignal_chunk(0, experiment, None, None, stream, channel_names=ids))
    t_start = float(reader.get_signal_t_start(0, experiment, stream))
    for neo_start, start, n in stretches:
        for column in range(len(ids)):
            assert (got[neo_start:neo_start + n, column] == samples(column, start + n)[start:]).all()
        one["segments"].append([n, t_start + neo_start / one["rate"]])
    assert len(got) == stretches[-1][0] + stretches[-1][2]
    expected[key] = one
    print(key, one)
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
