"""Small TIFF movies and images, and what tifffile reads from them -> tiff/

pip install tifffile==2026.3.3 imagecodecs==2026.3.6 scanimage-tiff-reader==1.4.1.4 numpy; run in this folder: python make_tiff.py
tiff/expected.json has, for each movie, what somata should describe, and its values [plane, channel, frame, y, x] as tifffile
(for ScanImage: ScanImageTiffReader too) reads the file, and for still images [image][channel, y, x]; of many values their CRC-32. The files of
tiff/others/ were not made here: see the README.txt there.
"""
import json, pathlib, struct, zlib
import numpy as np
import tifffile
from ScanImageTiffReader import ScanImageTiffReader

here = pathlib.Path(__file__).parent
folder = here / "tiff"
folder.mkdir(exist_ok=True)
movies, images = {}, {}


def pattern(shape, dtype):
    """Values that use the type's range and repeat enough for the codecs to have something to do."""
    k = np.arange(np.prod(shape)).reshape(shape) // 2
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return ((k * 37 % 1009) / 8 - 40).astype(dtype)
    info = np.iinfo(dtype)
    return (info.min + k * 7919 % (int(info.max) - int(info.min) + 1)).astype(dtype)


def listed(values):
    """Few values as they are; of many the CRC-32 of their little-endian float64 bytes."""
    values = values.astype("<f8").ravel()
    return dict(values=values.tolist()) if values.size <= 250 else dict(crc32=zlib.crc32(values.tobytes()))


def movie(name, values, **facts):
    """Notes a movie; `values` is [plane, channel, frame, y, x]."""
    facts = dict(format="TIFF", frame_rate_hz=None, pixel_size_um=None, n_warnings=0) | facts
    delivered = np.float32 if values.dtype == np.float16 else values.dtype
    facts |= dict(shape=list(values.shape), pixel_type=np.dtype(delivered).name) | listed(values)
    movies[name] = facts


def plain(name, shape, dtype, **options):
    """A movie of one plane and channel, read back with tifffile."""
    values = pattern(shape, dtype)
    tifffile.imwrite(folder / name, values, metadata=None, photometric="minisblack", **options)
    pages = np.stack([page.asarray() for page in tifffile.TiffFile(folder / name).pages])
    assert np.array_equal(pages, values), name
    movie(name, values[None, None])


for dtype in ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]:
    plain(f"{dtype}.tif", (3, 5, 7), dtype)
for dtype in ["uint16", "int32", "float64", "float16"]:
    plain(f"{dtype}_big_endian.tif", (3, 5, 7), dtype, byteorder=">")
plain("bigtiff.tif", (3, 5, 7), "uint16", bigtiff=True)
plain("bigtiff_big_endian.tif", (3, 5, 7), "int16", bigtiff=True, byteorder=">")
for codec in ["lzw", "deflate", "packbits", "zstd"]:
    plain(f"{codec}.tif", (2, 20, 23), "uint16", compression=codec)
    plain(f"{codec}_strips.tif", (2, 20, 23), "int8", compression=codec, rowsperstrip=6)
plain("lzw_predictor.tif", (2, 20, 23), "uint16", compression="lzw", predictor=2)
plain("lzw_predictor_big_endian.tif", (2, 20, 23), "int32", compression="lzw", predictor=2, byteorder=">")
plain("deflate_predictor_u8.tif", (2, 20, 23), "uint8", compression="deflate", predictor=2)
plain("deflate_float_predictor.tif", (2, 20, 23), "float32", compression="deflate", predictor=3)
plain("zstd_float_predictor_big_endian.tif", (2, 20, 23), "float64", compression="zstd", predictor=3, byteorder=">")
plain("strips.tif", (3, 11, 7), "uint16", rowsperstrip=3)
plain("tiles.tif", (2, 20, 23), "uint16", tile=(16, 16))
plain("tiles_deflate.tif", (2, 20, 23), "uint16", tile=(16, 16), compression="deflate", predictor=2)
plain("tiles_lzw_float.tif", (2, 20, 23), "float32", tile=(16, 32), compression="lzw", predictor=3)

# Twelve bits a sample: tifffile reads, but does not write them from a movie; bits from the most significant one on.
values = pattern((1, 4, 6), "uint16") & 0xfff
bits = "".join(f"{value:012b}" for value in values.ravel())
packed = bytes(int(bits[at:at + 8], 2) for at in range(0, len(bits), 8))


def directory(entries, position, next_offset, big):
    """A directory: entries are (tag, type, values); returns its bytes."""
    sizes = {2: (1, "B"), 3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}
    head, each, inline = (8, 20, 8) if big else (2, 12, 4)
    tail = position + head + each * len(entries) + inline
    table, extra = struct.pack("<Q" if big else "<H", len(entries)), b""
    for number, kind, content in sorted(entries):
        size, code = sizes[kind]
        data = bytes(content) if kind == 2 else struct.pack(f"<{len(content)}{code}", *content)
        count = len(data) // size
        table += struct.pack("<HHQ" if big else "<HHI", number, kind, count)
        if len(data) <= inline:
            table += data.ljust(inline, b"\0")
        else:
            table += struct.pack("<Q" if big else "<I", tail + len(extra))
            extra += data
    return table + struct.pack("<Q" if big else "<I", next_offset) + extra


entries = [(256, 4, [6]), (257, 4, [4]), (258, 3, [12]), (259, 3, [1]), (262, 3, [1]), (273, 4, [8]), (277, 3, [1]), (278, 4, [4]), (279, 4, [len(packed)])]
at = 8 + len(packed) + len(packed) % 2
(folder / "twelve_bits.tif").write_bytes(struct.pack("<2sHI", b"II", 42, at) + packed.ljust(at - 8, b"\0") + directory(entries, at, 0, False))
assert np.array_equal(tifffile.imread(folder / "twelve_bits.tif"), values[0])
movie("twelve_bits.tif", values[None, None])

# White is zero: values stay as stored, with a warning.
tifffile.imwrite(folder / "white_is_zero.tif", pattern((2, 5, 7), "uint8"), metadata=None, photometric="miniswhite")
movie("white_is_zero.tif", pattern((2, 5, 7), "uint8")[None, None], n_warnings=1)

# ImageJ: [frame, plane, channel, y, x], always big-endian.
for name, options, warnings in [("imagej.tif", {}, 0), ("imagej_contiguous.tif", dict(truncate=True), 0)]:
    values = pattern((4, 3, 2, 5, 7), "uint16")
    tifffile.imwrite(folder / name, values, imagej=True, resolution=(2.0, 4.0), metadata=dict(axes="TZCYX", finterval=0.125, unit="um"), **options)
    with tifffile.TiffFile(folder / name) as file:
        assert len(file.pages) == (1 if options else 24)
        read = file.series[0].asarray().reshape(values.shape)
    assert np.array_equal(read, values)
    movie(name, read.transpose(1, 2, 0, 3, 4), format="ImageJ TIFF", frame_rate_hz=8.0, pixel_size_um=[0.25, 0.5])
values = pattern((6, 5, 7), "float32")
tifffile.imwrite(folder / "imagej_slices.tif", values, imagej=True, metadata=dict(axes="ZYX", fps=7.0))
movie("imagej_slices.tif", values[None, None], format="ImageJ TIFF", frame_rate_hz=7.0, n_warnings=2)
# A series of tifffile whose further directories were not written.
values = pattern((6, 5, 7), "int16")
tifffile.imwrite(folder / "shaped_contiguous.tif", values, truncate=True)
assert len(tifffile.TiffFile(folder / "shaped_contiguous.tif").pages) == 1
movie("shaped_contiguous.tif", tifffile.imread(folder / "shaped_contiguous.tif")[None, None])

# OME: axes slowest first.
for axes in ["TZCYX", "TCZYX", "CTZYX"]:
    sizes = dict(T=4, Z=3, C=2, Y=5, X=7)
    values = pattern([sizes[axis] for axis in axes], "uint16")
    name = f"ome_{axes}.tif"
    facts = dict(axes=axes, TimeIncrement=250.0, TimeIncrementUnit="ms", PhysicalSizeX=0.5, PhysicalSizeY=0.25)
    tifffile.imwrite(folder / name, values, ome=True, photometric="minisblack", metadata=facts)
    with tifffile.TiffFile(folder / name) as file:
        assert file.is_ome and file.series[0].axes == axes
        read = file.series[0].asarray()
    assert np.array_equal(read, values)
    movie(name, read.transpose([axes.index(axis) for axis in "ZCTYX"]), format="OME-TIFF", frame_rate_hz=4.0, pixel_size_um=[0.25, 0.5])

# ScanImage 2023: 2 channels, 3 planes, 1 frame of flyback, 4 volumes; static text in Software, frame text in ImageDescription.
SCANIMAGE = """SI.LINE_FORMAT_VERSION = 1
SI.TIFF_FORMAT_VERSION = 4
SI.VERSION_MAJOR = 2023
SI.hChannels.channelSave = [1;2]
SI.hFastZ.discardFlybackFrames = true
SI.hFastZ.enable = true
SI.hFastZ.numDiscardFlybackFrames = 1
SI.hRoiManager.imagingFovUm = [-100 -60;100 -60;100 60;-100 60]
SI.hRoiManager.mroiEnable = false
SI.hRoiManager.scanFrameRate = 30
SI.hRoiManager.scanVolumeRate = 7.5
SI.hScan2D.logAverageFactor = 1
SI.hStackManager.actualNumSlices = 3
SI.hStackManager.actualNumVolumes = 4
SI.hStackManager.enable = true
SI.hStackManager.framesPerSlice = 1
SI.hStackManager.numFramesPerVolume = 3
SI.hStackManager.numFramesPerVolumeWithFlyback = 4
SI.hStackManager.numSlices = 11
SI.hStackManager.zs = [0 20 40]
"""


def scanimage(name, with_software, with_header):
    """ScanImage's BigTIFF: its own header first, then for each page directory, texts and image."""
    values = pattern((4, 4, 2, 6, 8), "int16")
    pages = values.reshape(-1, 6, 8)
    text, rois = SCANIMAGE.encode() + b"\0", b'{"RoiGroups": {}}\0'
    out = struct.pack("<IIII", 117637889, 4, len(text), len(rois)) + text + rois if with_header else b""
    at = 16 + len(out)
    out = struct.pack("<2sHHHQ", b"II", 43, 8, 0, at) + out
    for number, page in enumerate(pages):
        frame = f"frameNumbers = {number // 2 + 1}\nacquisitionNumbers = 1\nframeTimestamps_sec = {number // 2 / 30:.6f}\n".encode().ljust(120, b" ") + b"\0"
        entries = [(256, 4, [8]), (257, 4, [6]), (258, 3, [16]), (259, 3, [1]), (262, 3, [1]), (270, 2, frame), (273, 16, [0]), (277, 3, [1]),
                   (278, 4, [6]), (279, 16, [96]), (339, 3, [2])]
        entries += [(305, 2, text)] if with_software else []
        length = len(directory(entries, at, 0, True))
        entries = [(number, kind, [at + length] if number == 273 else content) for number, kind, content in entries]
        last = number == len(pages) - 1
        out += directory(entries, at, 0 if last else at + length + 96, True) + page.tobytes()
        at += length + 96
    (folder / name).write_bytes(out)
    assert np.array_equal(tifffile.TiffFile(folder / name).asarray(key=slice(None)), pages)
    with ScanImageTiffReader(str(folder / name)) as reader:
        assert np.array_equal(reader.data(), pages)
        assert not with_header or "SI.hFastZ" in reader.metadata()
    kept = values[:, :3]  # [volume, plane, channel, y, x] without flyback
    movie(name, kept.transpose(1, 2, 0, 3, 4), format="ScanImage TIFF", frame_rate_hz=7.5, pixel_size_um=[120 / 6, 200 / 8])


scanimage("scanimage.tif", True, False)
scanimage("scanimage_header.tif", False, True)

# A sequence of files; names in natural, not alphabetical, order.
values = pattern((11, 5, 7), "uint16")
(folder / "sequence").mkdir(exist_ok=True)
for name, part in [("run_2.tif", values[:4]), ("run_9.tif", values[4:8]), ("run_10.tif", values[8:])]:
    tifffile.imwrite(folder / "sequence" / name, part, metadata=None, photometric="minisblack", byteorder=">" if "9" in name else "<", compression="lzw" if "2" in name else None)
movie("sequence", values[None, None])


def image(name, planes):
    """Notes still images, which are delivered in single precision; each of `planes` is [channel, y, x]."""
    images[name] = dict(images=[dict(shape=list(plane.shape)) | listed(plane.astype(np.float32)) for plane in planes])


colours = pattern((3, 5, 7), "uint16")
tifffile.imwrite(folder / "rgb.tif", np.moveaxis(colours, 0, 2), photometric="rgb", metadata=None)
image("rgb.tif", [colours])
tifffile.imwrite(folder / "rgb_planar_tiles.tif", pattern((3, 20, 23), "uint8"), photometric="rgb", planarconfig="separate", tile=(16, 16), compression="deflate", predictor=2, metadata=None)
image("rgb_planar_tiles.tif", [pattern((3, 20, 23), "uint8")])
alpha = np.concatenate([colours, np.full((1, 5, 7), 65535, "uint16")])
tifffile.imwrite(folder / "rgb_alpha.tif", np.moveaxis(alpha, 0, 2), photometric="rgb", extrasamples=["unassalpha"], metadata=None)
image("rgb_alpha.tif", [colours])
with tifffile.TiffWriter(folder / "two_sizes.tif") as writer:
    for shape, dtype in [((5, 7), "uint8"), ((4, 9), "float32")]:
        writer.write(pattern(shape, dtype), metadata=None, photometric="minisblack", contiguous=False)
image("two_sizes.tif", [pattern((1, 5, 7), "uint8"), pattern((1, 4, 9), "float32")])

for path in sorted((folder / "others").glob("*.tif*")):
    pages = [page.asarray() for page in tifffile.TiffFile(path).pages]
    image(f"others/{path.name}", [page[None] for page in pages])

text = json.dumps(dict(movies=movies, images=images), separators=(",", ":"))
text = text.replace('"},"', '"},\n"').replace('},"', '},\n"').replace(".0,", ",").replace(".0]", "]")
(folder / "expected.json").write_text(text + "\n")
for path in sorted(folder.rglob("*")):
    if path.is_file():
        assert path.stat().st_size <= 100_000, path
print(len(movies), "movies,", len(images), "images,", sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()), "bytes")
