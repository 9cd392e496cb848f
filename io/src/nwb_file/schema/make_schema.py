"""Writes the schema files of this folder: what pynwb puts into `/specifications` of a file that it makes.

pip install pynwb==4.2.0
usage: python make_schema.py     (in this folder)

The files are JSON as pynwb writes it, one a source of a namespace. `LICENSE` holds the licences of both schemas.
"""
import datetime, pathlib, tempfile
import h5py, hdmf, pynwb

here = pathlib.Path(__file__).parent
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "a.nwb"
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(pynwb.NWBFile("a", "a", start))
    with h5py.File(path) as file:
        for name, namespace in file["specifications"].items():
            for version, sources in namespace.items():
                into = here / f"{name}-{version}"
                into.mkdir(exist_ok=True)
                for source, text in sources.items():
                    (into / f"{source}.json").write_text(text[()].decode() + "\n")

site = pathlib.Path(pynwb.__file__).parent / "nwb-schema"
common = pathlib.Path(hdmf.__file__).parent / "common" / "hdmf-common-schema"
parts = [
    "The folder `core-*` is the NWB schema, and `hdmf-common-*` and `hdmf-experimental-*` are the hdmf-common schema,",
    "both as JSON, otherwise unchanged. Their licences and notices follow.",
]
for title, root in (("NWB schema", site), ("hdmf-common schema", common)):
    for file in ("license.txt", "Legal.txt"):
        parts += ["", f"==== {title}: {file} ====", "", (root / file).read_text().strip()]
(here / "LICENSE").write_text("\n".join(parts) + "\n")
