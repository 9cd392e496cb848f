"""Small HDF5 files of every storage that is read, and what h5py reads from them -> hdf5/

pip install h5py==3.16.0 numpy; run in this folder: python make_hdf5.py
hdf5/expected.json has, for each file and dataset, the shape, numpy's name of the type and the values: few as they are, of many
the CRC-32 of their little-endian float64 bytes; attributes as JSON; of a group its members. `earliest` and `latest` hold the same
in the library's oldest and newest forms; `many` has the indexes of many chunks; `refused` has what is refused by name.
"""
import json, pathlib, zlib
import h5py
import numpy as np

here = pathlib.Path(__file__).parent
folder = here / "hdf5"
folder.mkdir(exist_ok=True)
TYPES = ["i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8", "<u8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]


def pattern(shape, dtype):
    """Values that use the type's range and repeat enough for the codecs to have something to do."""
    k = np.arange(np.prod(shape, dtype=int)).reshape(shape) // 2
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return ((k * 37 % 1009) / 8 - 40).astype(dtype)
    info = np.iinfo(dtype)
    return np.array([int(info.min) + int(v) * 7919 * 2654435761 % (int(info.max) - int(info.min) + 1) for v in k.ravel()], dtype).reshape(shape)


def fill(file, newest):
    """The same content whatever the version of the format; older ones have one index for all that is chunked, and so less of it."""
    numbers = file.create_group("numbers")
    for name in TYPES:
        numbers[name.replace("<", "le_").replace(">", "be_")] = pattern((3, 5), name)
    numbers["scalar"] = np.float64(2.5)
    numbers["flags"] = np.array([True, False, True])
    numbers.create_dataset("none", shape=(0, 4), maxshape=(None, 4), dtype="i2")
    numbers["null"] = h5py.Empty("f4")
    numbers.create_dataset("never_written", shape=(3, 4), dtype="i4", fillvalue=-7)
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    values = pattern((4, 6), "<i2")
    dataset = h5py.h5d.create(numbers.id, b"compact", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple(values.shape), compact)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)

    chunked = file.create_group("chunked")
    def make(name, shape, chunks, dtype="<i2", newest_only=False, **options):
        if newest_only and not newest:
            return
        chunked.create_dataset(name, data=pattern(shape, dtype), chunks=chunks, **options)
    make("single", (6, 7), (6, 7), newest_only=True)
    make("single_gzip", (6, 7), (6, 7), compression="gzip")
    make("fixed", (23, 10), (5, 4))
    make("fixed_gzip", (23, 10), (5, 4), compression="gzip", shuffle=True)
    make("growing", (23, 10), (5, 4), maxshape=(None, 10), newest_only=True)
    make("growing_gzip", (23, 10), (5, 4), "<f4", maxshape=(None, 10), compression="gzip", compression_opts=9, shuffle=True, fletcher32=True)
    make("growing_second", (10, 23), (4, 5), maxshape=(10, None), compression="gzip", newest_only=True)
    make("growing_both", (23, 10), (5, 4), maxshape=(None, None), newest_only=True)
    make("growing_both_gzip", (23, 10), (5, 4), ">u4", maxshape=(None, None), compression="gzip", shuffle=True, newest_only=True)
    make("checked", (23, 10), (5, 4), fletcher32=True, newest_only=True)
    make("lzf", (40, 10), (32, 10), compression="lzf", shuffle=True)
    make("lzf_plain", (40, 30), (32, 30), "u1", compression="lzf")
    make("three_axes", (5, 9, 7), (2, 4, 3), "<u2", maxshape=(None, 9, 7), compression="gzip")
    make("four_axes", (3, 2, 5, 4), (1, 2, 3, 4), "u1")
    early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    early.set_chunk((5, 4))
    early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    values = pattern((23, 10), "<i2")
    dataset = h5py.h5d.create(chunked.id, b"implicit", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple(values.shape), early)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)
    holes = chunked.create_dataset("holes", shape=(20, 8), chunks=(5, 4), maxshape=(None, 8), dtype="i4", fillvalue=9, compression="gzip")
    holes[5:10, :4] = 1
    holes[17:, 5:] = 2
    skipped = chunked.create_dataset("skipped_filter", shape=(4, 6), chunks=(2, 6), dtype="<i2", compression="gzip", shuffle=True)
    skipped[:2] = pattern((2, 6), "<i2")
    skipped.id.write_direct_chunk((2, 0), pattern((2, 6), "<i2").tobytes(), filter_mask=3)

    texts = file.create_group("texts")
    texts["fixed"] = np.array([b"one", b"three", b""], "S5")
    texts.create_dataset("fixed_utf8", data=np.array(["ä".encode(), "µV".encode()], h5py.string_dtype("utf-8", 4)))
    texts["vlen"] = np.array(["group a", "", "ein längerer Text mit µ und 日本語"], object)
    texts["vlen_ascii"] = np.array([b"a", b"bc"], h5py.string_dtype("ascii"))
    texts["scalar"] = "one text"
    texts.create_dataset("chunked", data=np.array([f"electrode {i}" for i in range(20)], object), chunks=(8,), maxshape=(None,), compression="gzip")

    others = file.create_group("others")
    others["compound"] = np.array([(1, 2.5), (3, 4.5)], [("a", "<i2"), ("b", "<f8")])
    others["references"] = np.array([numbers["scalar"].ref, chunked.ref, h5py.Reference()], h5py.ref_dtype)
    others["lists"] = np.array([np.array([1, 2, 3], "i4"), np.array([], "i4")], h5py.vlen_dtype("i4"))
    others["opaque"] = np.void(b"abcd")
    others["array"] = np.zeros(2, [("m", "<f4", (2, 3))])
    others["named_type"] = np.dtype("<i4")
    others.create_dataset("of_named_type", data=[1, 2, 3], dtype=others["named_type"])

    some = file.create_group("attributes")
    some.attrs["number"] = 30000.5
    some.attrs["whole"] = np.int32(-3)
    some.attrs["list"] = np.array([1.5, 2.5, -1.0])
    some.attrs["text"] = "µV"
    some.attrs["fixed_text"] = np.bytes_("volts")
    some.attrs["texts"] = np.array(["x", "y position"], object)
    some.attrs["reference"] = numbers["scalar"].ref
    some.attrs["empty"] = h5py.Empty("f4")
    many = file.create_group("many_attributes")
    for i in range(40):
        many.attrs[f"attribute {i:02}"] = i * 1.25 if i % 2 else f"text {i}"
    many.attrs["long"] = np.arange(100.0)

    groups = file.create_group("groups")
    wide = groups.create_group("wide")
    for i in range(150):
        wide[f"member {i:03}"] = np.int16(i) if i < 10 else wide[f"member {i % 10:03}"]
    ordered = groups.create_group("ordered", track_order=True)
    for i in range(30):
        ordered[f"{(i * 7) % 30}"] = wide[f"member {i % 10:03}"]
    groups["soft"] = h5py.SoftLink("/numbers/scalar")
    groups["soft_relative"] = h5py.SoftLink("wide/member 007")
    groups["circle"] = h5py.SoftLink("/groups/circle")
    groups["dangling"] = h5py.SoftLink("/nothing")
    groups["outside"] = h5py.ExternalLink("/etc/passwd", "/x")
    groups["again"] = numbers["scalar"]


def described(file):
    """What h5py reads."""
    found = {}

    def plain(value):
        if isinstance(value, h5py.Empty):
            return None
        if isinstance(value, h5py.Reference):
            return file[value].name if value else None
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value.ravel()]
        return value.item() if isinstance(value, np.generic) and not isinstance(value, np.void) else value

    def visit(name, item):
        one = dict(attributes={key: plain(item.attrs[key]) for key in item.attrs})
        if isinstance(item, h5py.Group):
            one["members"] = sorted(item.keys())
        elif isinstance(item, h5py.Dataset):
            one["shape"] = None if item.shape is None else list(item.shape)
            one["dtype"] = str(item.dtype)
            text = h5py.check_string_dtype(item.dtype)
            if item.shape is None:
                pass
            elif text:
                one["texts"] = [value for value in np.atleast_1d(item.asstr()[()]).ravel()]
            elif item.dtype == h5py.ref_dtype:
                one["references"] = [plain(value) for value in item[()].ravel()]
            elif item.dtype.kind in "iufb":
                values = np.asarray(item[()]).astype("<f8").ravel()
                one |= dict(values=values.tolist()) if values.size <= 24 and item.dtype.itemsize < 8 else dict(crc32=zlib.crc32(values.tobytes()))
        found["/" + name] = one
    visit("", file)
    file.visititems(visit)
    return found


expected = {}
for name in ("earliest", "latest", "v108"):
    with h5py.File(folder / f"{name}.h5", "w", libver=name if name == "earliest" else (name, name), userblock_size=512 if name == "v108" else 0) as file:
        fill(file, name == "latest")
    with h5py.File(folder / f"{name}.h5") as file:
        expected[f"{name}.h5"] = described(file)

with h5py.File(folder / "many.h5", "w", libver="latest") as file:
    # More chunks than one block of each index holds.
    one = dict(data=pattern((1200,), "u1"), chunks=(1,))
    file.create_dataset("fixed_pages", **one)
    file.create_dataset("growing_blocks", maxshape=(None,), **one)
    file.create_dataset("tree", data=pattern((30, 30), "u1"), chunks=(1, 1), maxshape=(None, None))
    file.create_dataset("tree_gzip", data=pattern((20, 30), "u1"), chunks=(1, 1), maxshape=(None, None), compression="gzip")
with h5py.File(folder / "many.h5") as file:
    expected["many.h5"] = described(file)
with h5py.File(folder / "many_earliest.h5", "w") as file:
    file.create_dataset("tree", data=pattern((300,), "u1"), chunks=(1,))
with h5py.File(folder / "many_earliest.h5") as file:
    expected["many_earliest.h5"] = described(file)

# A table so long that its blocks have pages, of which few are written: element i is i mod 251 where it is.
with h5py.File(folder / "many_sparse.h5", "w", libver="latest") as file:
    growing = file.create_dataset("growing_pages", shape=(140000,), maxshape=(None,), chunks=(1,), dtype="u1")
    for start in (0, 131090, 139500):
        growing[start:start + 10] = np.arange(start, start + 10) % 251

(folder / "refused").mkdir(exist_ok=True)
with h5py.File(folder / "refused" / "refused.h5", "w", libver="latest") as file:
    file.create_dataset("scaleoffset", data=pattern((8, 8), "i2"), chunks=(4, 4), scaleoffset=0)
    layout = h5py.VirtualLayout(shape=(4,), dtype="i4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
    file.create_virtual_dataset("virtual", layout)
    file.create_dataset("external", shape=(4,), dtype="i4", external=[("/etc/passwd", 0, 16)])
    file["outside"] = h5py.ExternalLink("/etc/passwd", "/x")
(folder / "expected.json").write_text(json.dumps(expected, indent=0, ensure_ascii=False) + "\n")
for path in sorted(folder.rglob("*")):
    print(path.name, path.stat().st_size)
