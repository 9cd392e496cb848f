"""Zarr stores of every codec and layout that is read -> zarr/v2/ or zarr/v3/, and what zarr-python reads from them ->
zarr/expected_v2.json or zarr/expected_v3.json. The version of zarr-python decides which.

for v2: pip install "zarr<3" numcodecs spikeinterface hdmf-zarr pynwb ome-zarr==0.11.1
    (the committed files: zarr 2.18.7, numcodecs 0.15.2, spikeinterface 0.105.3, hdmf-zarr 0.13.0, pynwb 4.2.0)
for v3: pip install "zarr>=3" ome-zarr==0.18.0      (the committed files: zarr 3.1.6, numcodecs 0.16.6)
usage: python make_zarr.py
"""
import datetime, json, pathlib, shutil, zlib
import numcodecs
import numpy as np
import zarr

V3 = int(zarr.__version__.split(".")[0]) >= 3
here = pathlib.Path(__file__).parent / "zarr"
root = here / ("v3" if V3 else "v2")
shutil.rmtree(root, ignore_errors=True)
root.mkdir(parents=True)
expected = {}


def noted(array):
    return dict(shape=list(array.shape), crc32=zlib.crc32(np.ascontiguousarray(array).astype("<f8").tobytes()))


T, H, W = 6, 16, 20
t, y, x = np.mgrid[:T, :H, :W]
noise = np.random.default_rng(3).integers(0, 9, (T, H, W))
MOVIE = (1000 + 100 * t + 7 * y + 3 * x + noise).astype("u2")
CHUNKS = (4, 16, 12)


def note(name, array):
    expected[name] = dict(frames=noted(array), dtype=array.dtype.newbyteorder("=").name)


def v2(name, data=MOVIE, chunks=CHUNKS, **options):
    array = zarr.open_array(str(root / name), mode="w", shape=data.shape, chunks=chunks, dtype=data.dtype, **options)
    array[:] = data
    note(name, zarr.open_array(str(root / name), mode="r")[:])


def v3(name, data=MOVIE, chunks=CHUNKS, **options):
    options.setdefault("compressors", None)
    array = zarr.create_array(str(root / name), shape=data.shape, chunks=chunks, dtype=data.dtype, zarr_format=3, **options)
    array[:] = data
    note(name, zarr.open_array(str(root / name), mode="r")[:])


def arrays_v2():
    v2("plain", compressor=None)
    v2("big_endian", MOVIE.astype(">u2"), compressor=None)
    v2("fortran", compressor=numcodecs.Zlib(1), order="F")
    v2("nested_keys", compressor=None, dimension_separator="/")
    v2("zlib", compressor=numcodecs.Zlib(5))
    v2("gzip", compressor=numcodecs.GZip(5))
    v2("zstd", compressor=numcodecs.Zstd(3))
    v2("lz4", compressor=numcodecs.LZ4())
    for codec in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
        for shuffle, name in ((0, "plain"), (1, "bytes"), (2, "bits")):
            v2(f"blosc_{codec}_{name}", compressor=numcodecs.Blosc(codec, clevel=5, shuffle=shuffle))
    v2("blosc_stored", np.random.default_rng(1).integers(0, 65535, (T, H, W)).astype("u2"), compressor=numcodecs.Blosc("lz4", clevel=0))
    v2("blosc_small_blocks", compressor=numcodecs.Blosc("zstd", clevel=3, shuffle=1, blocksize=512))
    v2("blosc_long_runs", np.where(t < 5, 7, MOVIE).astype("f8"), compressor=numcodecs.Blosc("blosclz", clevel=9, shuffle=0))
    v2("blosc_float64_bits", MOVIE / 3, compressor=numcodecs.Blosc("lz4", shuffle=2))
    v2("blosc_uint8_bits", MOVIE.astype("u1"), compressor=numcodecs.Blosc("lz4", shuffle=2))
    v2("delta", compressor=numcodecs.Zlib(1), filters=[numcodecs.Delta("<u2")])
    v2("delta_int32_big_endian", MOVIE.astype(">i4") - 1500, compressor=numcodecs.Zlib(1), filters=[numcodecs.Delta(">i4")])
    v2("delta_float32", MOVIE.astype("<f4"), compressor=None, filters=[numcodecs.Delta("<f4")])
    v2("shuffle_and_sums", compressor=numcodecs.Zlib(1), filters=[numcodecs.CRC32(), numcodecs.Shuffle(2), numcodecs.Adler32()])
    absent = zarr.open_array(str(root / "absent_chunks"), mode="w", shape=(T, H, W), chunks=CHUNKS, dtype="i2", fill_value=-3, compressor=None)
    absent[:4, :, :12] = MOVIE[:4, :, :12]
    note("absent_chunks", absent[:])
    for dtype in ("i1", "u4", "f4"):
        v2(f"type_{dtype}", MOVIE.astype(dtype), compressor=None)


def arrays_v3():
    from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

    v3("plain")
    v3("big_endian", serializer=BytesCodec(endian="big"))
    v3("v2_keys", chunk_key_encoding={"name": "v2", "separator": "."})
    v3("dotted_keys", chunk_key_encoding={"name": "default", "separator": "."})
    v3("gzip", compressors=[GzipCodec(level=5)])
    v3("zstd", compressors=[ZstdCodec(level=3)])
    v3("zstd_sum", compressors=[ZstdCodec(level=3, checksum=True), Crc32cCodec()])
    for codec in ("blosclz", "lz4", "zstd"):
        for shuffle in ("noshuffle", "shuffle", "bitshuffle"):
            v3(f"blosc_{codec}_{shuffle}", compressors=[BloscCodec(cname=codec, clevel=5, shuffle=shuffle)])
    v3("transpose", filters=[TransposeCodec(order=(2, 0, 1))], compressors=[ZstdCodec()])
    v3("crc32c", compressors=[Crc32cCodec()])
    shape = dict(data=MOVIE, chunks=(2, 8, 6), shards=(4, 16, 12))
    v3("shards", **shape, compressors=[ZstdCodec()])
    inner = [TransposeCodec(order=(2, 1, 0)), BytesCodec(endian="big"), BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=2), Crc32cCodec()]
    for location in ("start", "end"):
        shard = ShardingCodec(chunk_shape=(2, 8, 6), codecs=inner, index_location=location)
        name = f"shards_{location}_of_many_codecs"
        v3(name, chunks=(4, 16, 12), serializer=shard)
    array = zarr.create_array(str(root / "absent_chunks"), shape=(T, H, W), chunks=(2, 8, 6), shards=(4, 16, 12), dtype="f4", fill_value=np.nan)
    array[:2, :8, :] = MOVIE[:2, :8, :]
    note("absent_chunks", np.nan_to_num(array[:], nan=-1))
    v3("type_float64", MOVIE / 3)
    v3("type_int8", MOVIE.astype("i1"))
    names = zarr.create_array(str(root / "named_axes"), shape=(H, W, T, 2), chunks=(H, W, 3, 1), dtype="u2", dimension_names=["x", "y", "time", "channel"])
    names[:] = np.stack([MOVIE.transpose(1, 2, 0), 2 * MOVIE.transpose(1, 2, 0)], axis=-1)
    data = names[:]
    expected["named_axes"] = dict(dtype="uint16", channels=[noted(data[..., c].transpose(2, 1, 0)) for c in range(2)])


def ome():
    """An OME-Zarr image of time, channels and planes, as ome-zarr-py writes it."""
    from ome_zarr.io import parse_url
    from ome_zarr.writer import write_image
    import ome_zarr.format

    data = np.stack([np.stack([MOVIE + 10 * c + 5 * z for z in range(3)], axis=1) for c in range(2)], axis=1)
    axes = [dict(name="t", type="time", unit="millisecond"), dict(name="c", type="channel")]
    axes += [dict(name=name, type="space", unit="micrometer") for name in "zyx"]
    fmt = ome_zarr.format.FormatV05() if V3 else ome_zarr.format.FormatV04()
    path = root / "image.ome.zarr"
    scale = [[dict(type="scale", scale=[125.0, 1.0, 20.0, 0.8, 0.5])]]
    if V3:
        group = zarr.open_group(str(path), mode="w", zarr_format=3)
        units = dict(t="millisecond", z="micrometer", y="micrometer", x="micrometer")
        write_image(data, group, axes="tczyx", fmt=fmt, scale_factors=[], scale=dict(zip("tczyx", scale[0][0]["scale"])), axes_units=units,
                    storage_options=dict(chunks=(2, 1, 1, 16, 20)))
    else:
        group = zarr.group(parse_url(str(path), mode="w", fmt=fmt).store)
        write_image(data, group, axes=axes, fmt=fmt, scaler=None, coordinate_transformations=scale, storage_options=dict(chunks=(2, 1, 1, 16, 20)))
    saved = zarr.open_group(str(path), mode="r")
    saved = saved[next(iter(saved.array_keys()))][:]
    planes = [[noted(saved[:, c, z]) for c in range(2)] for z in range(3)]
    expected["image.ome.zarr"] = dict(dtype="uint16", planes=planes, frame_rate_hz=8.0, pixel_size_um=[0.8, 0.5])


def recording():
    """Two segments as SpikeInterface saves them; version 3 has the same names, which SpikeInterface reads but does not write."""
    rng = np.random.default_rng(0)
    traces = [(rng.normal(size=(n, 4)) * 100).astype("i2") for n in (300, 200)]
    path = root / "spikeinterface.zarr"
    if V3:
        old = zarr.open_group(str(here / "v2" / "spikeinterface.zarr"), mode="r")
        new = zarr.open_group(str(path), mode="w", zarr_format=3)
        new.attrs.update(dict(old.attrs))
        for name in ("traces_seg0", "traces_seg1"):
            chunks = dict(chunks=(45, 2), shards=(90, 4)) if name.endswith("0") else dict(chunks=(90, 4))
            new.create_array(name, data=old[name][:], **chunks)
        new.create_array("times_seg1", data=old["times_seg1"][:])
        ids = new.create_array("channel_ids", shape=(4,), dtype=str)
        ids[:] = np.array(["a", "bc", "é", "d"], dtype=object)
        for name in ("gain_to_uV", "offset_to_uV", "group", "inter_sample_shift"):
            new.create_array(f"properties/{name}", data=old[f"properties/{name}"][:])
        traces = [new[f"traces_seg{i}"][:] for i in range(2)]
        expected["spikeinterface.zarr"] = dict(ids=["a", "bc", "é", "d"], samples=noted(np.concatenate(traces)))
        return
    import probeinterface
    import spikeinterface.core as core

    recording = core.NumpyRecording(traces, 30000.0, channel_ids=["a", "bc", "é", "d"])
    recording.set_channel_gains([0.1, 0.2, 0.3, 0.4])
    recording.set_channel_offsets([0.0, 1.0, 2.0, 3.0])
    probe = probeinterface.generate_linear_probe(4)
    probe.set_device_channel_indices([3, 2, 1, 0])
    recording.set_probe(probe)
    recording.set_property("inter_sample_shift", np.array([0, 0.1, 0.2, 0.3]))
    recording.set_times(np.arange(200) / 30000 + 5, 1)
    recording.save(format="zarr", folder=path, verbose=False, chunk_duration="3ms")
    loaded = core.load(path)
    expected["spikeinterface.zarr"] = dict(
        ids=[str(i) for i in loaded.channel_ids], rate=loaded.sampling_frequency, gains=loaded.get_channel_gains().tolist(),
        offsets=loaded.get_channel_offsets().tolist(), locations=loaded.get_channel_locations().tolist(),
        starts=[float(loaded.get_times(s)[0]) for s in range(2)], lengths=[loaded.get_num_samples(s) for s in range(2)],
        samples=noted(np.concatenate([loaded.get_traces(s) for s in range(2)])))


def nwb():
    from hdmf_zarr.nwb import NWBZarrIO
    from pynwb import NWBFile
    from pynwb.ecephys import ElectricalSeries

    path = root / "recording.nwb.zarr"
    file = NWBFile("d", "id", datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    device = file.create_device("probe")
    groups = [file.create_electrode_group(f"shank{i}", description="x", location="y", device=device) for i in range(2)]
    for name in ("channel_name", "inter_sample_shift"):
        file.add_electrode_column(name, "x")
    for c in range(6):
        file.add_electrode(x=1.0, y=2.0, z=3.0, location="CA1", group=groups[c // 3], rel_x=16.0 * (c % 2), rel_y=20.0 * (c % 3),
                           channel_name=f"AP{c}", inter_sample_shift=c / 8)
    region = file.create_electrode_table_region([5, 2, 1, 0], "r")
    data = (np.random.default_rng(1).normal(size=(300, 4)) * 100).astype("i2")
    series = ElectricalSeries(name="ElectricalSeriesAP", data=data, electrodes=region, starting_time=2.5, rate=30000.0,
                              conversion=2.34e-6, offset=1e-6, channel_conversion=[1.0, 1.0, 2.0, 1.0])
    file.add_acquisition(series)
    with NWBZarrIO(str(path), "w") as io:
        io.write(file)
    from spikeinterface.extractors.nwbextractors import NwbRecordingExtractor

    loaded = NwbRecordingExtractor(path)
    # The schema is the same in every file and 40 times as large as the rest.
    shutil.rmtree(path / "specifications")
    (path / ".zmetadata").unlink(missing_ok=True)
    expected["recording.nwb.zarr"] = dict(
        ids=[str(i) for i in loaded.channel_ids], rate=loaded.sampling_frequency, gains=loaded.get_channel_gains().tolist(),
        offsets=loaded.get_channel_offsets().tolist(), start=float(loaded.get_times(0)[0]), samples=noted(loaded.get_traces()))


(arrays_v3 if V3 else arrays_v2)()
ome()
recording()
if not V3:
    nwb()
(here / f"expected_{root.name}.json").write_text(json.dumps(expected, indent=1) + "\n")
