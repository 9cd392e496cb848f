"""Probes in the formats of other programs, and where their readers place the contacts -> probes/

pip install probeinterface==0.4.2 scipy==1.17.1 h5py==3.16.0 numpy; run in this folder: python make_probes.py
probes/expected.json has, per file, one [channel, x, y, shank] a contact in the order of the channels. Channel maps of Kilosort are
saved by scipy, as most pipelines do, and read back by it; .prb files are written and read by probeinterface; .imro files are tables
of the meta files in spikeglx_meta/, read by probeinterface (whose x counts from another edge of the shank).
"""
import json, pathlib, re, shutil
import numpy as np
import h5py
import probeinterface
import scipy.io

here = pathlib.Path(__file__).parent
folder = here / "probes"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
expected = {}

# Kilosort: 10 rows, the reference (row 4) and the last are not connected, two shanks.
rng = np.random.default_rng(5)
rows = rng.permutation(10)
column = lambda values: np.asarray(values).reshape(-1, 1)
chanmap = dict(
    chanMap=column(rows + 1.0), chanMap0ind=column(rows * 1.0), connected=column(rows != 4), xcoords=column(np.arange(10) % 2 * 32.5 + (rows > 5) * 200.0),
    ycoords=column(np.arange(10) * 20.0), kcoords=column(np.where(rows > 5, 2.0, 1.0)), fs=np.array([[30000.0]]), name="two shanks",
    others=np.array([[1, 2], [3, 4]], dtype=object), settings=dict(a=1.0, b="x"),
)
variants = {
    "chanMap.mat": (chanmap, dict(do_compression=True)),
    "stored.mat": (chanmap, dict(do_compression=False)),
    # Rows from 1 only, as a row of int32 and single, and neither groups nor a name.
    "rows.mat": (dict(chanMap=(rows + 1).astype("int32"), xcoords=chanmap["xcoords"].ravel().astype("float32"), ycoords=chanmap["ycoords"].ravel().astype("uint16"), connected=np.ones(10, "uint8")), dict(do_compression=True)),
}
for name, (variables, options) in variants.items():
    scipy.io.savemat(folder / name, variables, **options)
    back = {key: value for key, value in scipy.io.loadmat(folder / name).items() if key[0] != "_"}
    flat = lambda key: back[key].ravel().astype(float)
    groups = flat("kcoords") - 1 if "kcoords" in back else np.zeros(10)
    contacts = [[int(row - 1), x, y, int(g)] for row, x, y, g, c in zip(flat("chanMap"), flat("xcoords"), flat("ycoords"), groups, flat("connected")) if c]
    expected[name] = sorted(contacts)

# Version 7.3, laid out as MATLAB does: a user block of text, axes in the other order, classes as attributes, small arrays plain and larger
# ones in deflated chunks, logical values as uint8, text as uint16, cells as references.
def save_73(path, variables, chunked):
    with h5py.File(path, "w", userblock_size=512, libver=("earliest", "v108")) as file:
        def save(group, key, value):
            if isinstance(value, dict):
                inner = group.create_group(key)
                inner.attrs["MATLAB_class"] = np.bytes_("struct")
                for name, one in value.items():
                    save(inner, name, one if isinstance(one, str) else np.array([[one]]))
                return
            if isinstance(value, str):
                kind, data = "char", np.frombuffer(value.encode("utf-16-le"), "uint16")[None]
            elif value.dtype == bool:
                kind, data = "logical", value.astype("uint8")
            elif value.dtype == object:
                refs = file.require_group("#refs#")
                data = np.empty(value.shape, h5py.ref_dtype)
                for index, one in np.ndenumerate(value):
                    name = chr(ord("a") + len(refs))
                    save(refs, name, np.array([[float(one)]]))
                    data[index] = refs[name].ref
                kind = "cell"
            else:
                kind, data = {"float64": "double", "float32": "single"}.get(value.dtype.name, value.dtype.name), value
            if not data.size:
                dataset = group.create_dataset(key, data=np.array(data.shape, "uint64"))
                dataset.attrs["MATLAB_empty"] = np.uint8(1)
            else:
                options = dict(chunks=(1, min(64, data.size)) if data.shape[1] == 1 else data.T.shape, compression=3) if chunked and key in ("xcoords", "connected") else {}
                dataset = group.create_dataset(key, data=data.T, dtype=data.dtype, **options)
            dataset.attrs["MATLAB_class"] = np.bytes_(kind)
            if kind in ("char", "logical"):
                dataset.attrs["MATLAB_int_decode"] = np.int32(2 if kind == "char" else 1)
        for key, value in variables.items():
            save(file, key, value)
    with open(path, "r+b") as file:
        text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Nov  2 12:00:00 2026 HDF5 schema 1.00 ."
        file.write(text.ljust(116, b" ") + bytes(8) + b"\0\2IM")

for name, chunked in [("version73.mat", False), ("version73_deflated.mat", True)]:
    variables = dict(chanmap, empty=np.zeros((0, 0)))
    save_73(folder / name, variables, chunked)
    with h5py.File(folder / name) as file:
        flat = lambda key: file[key][()].ravel().astype(float)
        contacts = [[int(row - 1), x, y, int(g - 1)] for row, x, y, g, c in zip(flat("chanMap"), flat("xcoords"), flat("ycoords"), flat("kcoords"), flat("connected")) if c]
    expected[name] = sorted(contacts)
    assert expected[name] == expected["chanMap.mat"]

# klusta: written by probeinterface, and as people write them.
group = probeinterface.ProbeGroup()
for number in range(2):
    probe = probeinterface.generate_linear_probe(num_elec=4, ypitch=25)
    probe.move([500.0 * number, 10.0 * number])
    probe.set_device_channel_indices([3 + 4 * number, 2 + 4 * number, 0 + 4 * number, 1 + 4 * number])
    group.add_probe(probe)
probeinterface.write_prb(folder / "written.prb", group, total_nb_channels=8, radius=100)
(folder / "by_hand.prb").write_text('''# -*- coding: utf-8 -*-
total_nb_channels = 6   # one is the reference
radius            = 100

channel_groups = {
    # Shank index.
    0: {
        'channels': list(range(0, 3)),
        'graph': [(0, 1), [1, 2],],
        'geometry': {0: (0, 0), 1: [10.5, -25], 2: (0., 5e1)},
        "label": ['a', "b", 'c # not a comment'],
    },
    1: {"channels": [4, 3], "graph": [], "geometry": {3: (300, 0),
        4: (300, 25)}},
}
''')
for name in ["written.prb", "by_hand.prb"]:
    contacts = []
    for shank, probe in enumerate(probeinterface.read_prb(folder / name).probes):
        for channel, (x, y) in zip(probe.device_channel_indices, probe.contact_positions):
            contacts.append([int(channel), float(x), float(y), shank])
    expected[name] = sorted(contacts)
(folder / "code.prb").write_text("import numpy as np\nchannel_groups = {0: {'channels': list(range(2)), 'geometry': {i: (0, 20 * i) for i in range(2)}}}\n")

# SpikeGLX: one table of each family.
seen = set()
for path in sorted((here / "spikeglx_meta").glob("*.meta")):
    table = re.search(r"~imroTbl=(.*)", path.read_text(errors="replace"))
    if not table:
        continue
    text = table.group(1).strip()
    header = text[1:text.index(")")].split(",")
    kind = "3A" if len(header) == 3 else header[0]
    if kind in seen:
        continue
    name = f"type{kind}.imro"
    (folder / name).write_text(text)
    try:
        probe = probeinterface.read_imro(folder / name)
    except Exception as error:
        print(path.name, kind, repr(error)[:150])
        (folder / name).unlink()
        continue
    seen.add(kind)
    shanks = [int(s) if s else 0 for s in probe.shank_ids] if probe.shank_ids is not None else [0] * probe.get_contact_count()
    expected[name] = [[index, float(x), float(y), shank] for index, ((x, y), shank) in enumerate(zip(probe.contact_positions, shanks))]
(folder / "expected.json").write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(contacts, separators=(',', ':'))}" for name, contacts in expected.items()) + "\n}\n")
print({name: len(contacts) for name, contacts in expected.items()})
