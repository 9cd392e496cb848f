"""Small NWB and MEArec files, and what SpikeInterface, neo, pynwb and roiextractors read from them -> nwb/

pip install pynwb==4.2.0 spikeinterface==0.105.3 neo==0.14.6 roiextractors==0.10.0 MEArec==1.11.0 h5py==3.16.0 numpy
Run in this folder: python make_nwb.py
nwb/expected.json has of each recording what SpikeInterface reads (rate, ids, gains, offsets, positions, first and last samples,
CRC-32 of all as float64), of each movie its values [plane, frame, row, column] as roiextractors or h5py read them.
"""
import datetime, json, pathlib, shutil, zlib
import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.image import ImageSeries
from pynwb.ophys import OnePhotonSeries, OpticalChannel, TwoPhotonSeries

here = pathlib.Path(__file__).parent
folder = here / "nwb"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir()
START = datetime.datetime(2026, 11, 2, 9, 30, tzinfo=datetime.timezone.utc)


def samples(n, channels, dtype="int16", seed=0):
    values = np.random.default_rng(seed).normal(size=(n, channels)) * 100
    return values.astype(dtype)


def empty(session="golden"):
    return NWBFile(session_description=session, identifier=session, session_start_time=START, file_create_date=START)


def with_electrodes(n=6, relative=True, absolute=False, names=True, groups=2):
    nwb = empty()
    device = nwb.create_device("probe")
    shanks = [nwb.create_electrode_group(f"shank{i}", description="x", location="CA1", device=device) for i in range(groups)]
    if relative:
        nwb.add_electrode_column("rel_x", "µm")
        nwb.add_electrode_column("rel_y", "µm")
    if names:
        nwb.add_electrode_column("channel_name", "name")
    for i in range(n):
        more = dict(rel_x=10.0 * (i % 2), rel_y=20.0 * (i // 2)) if relative else {}
        more |= dict(channel_name=f"AP{i}") if names else {}
        more |= dict(x=16.0 * (i % 2), y=25.0 * i, z=0.0) if absolute else {}
        nwb.add_electrode(location="CA1", group=shanks[i * groups // n], id=100 + i, **more)
    return nwb


def write(nwb, name):
    with NWBHDF5IO(folder / name, "w") as io:
        io.write(nwb, cache_spec=False)


# Int16, contiguous, by rate, with gains of channels and an offset; electrodes in another order than the table; LFP beside it.
nwb = with_electrodes()
nwb.add_acquisition(ElectricalSeries("ElectricalSeriesAP", samples(300, 4), nwb.create_electrode_table_region([4, 0, 3, 1], "x"), rate=30000.0,
                                     starting_time=12.5, conversion=1.95e-7, channel_conversion=[1.0, 0.5, 2.0, 1.0], offset=1e-5))
lfp = LFP(name="LFP")
lfp.add_electrical_series(ElectricalSeries("ElectricalSeriesLFP", samples(20, 4, seed=1), nwb.create_electrode_table_region([4, 0, 3, 1], "x"), rate=1000.0))
nwb.create_processing_module("ecephys", "x").add(lfp)
write(nwb, "rate.nwb")
# Compressed, timestamps, positions as x and y, no names.
nwb = with_electrodes(4, relative=False, absolute=True, names=False, groups=1)
nwb.add_acquisition(ElectricalSeries("raw", H5DataIO(samples(700, 4, seed=2), compression="gzip", shuffle=True, chunks=(256, 3)), nwb.create_electrode_table_region([0, 1, 2, 3], "x"),
                                     timestamps=H5DataIO(np.arange(700) / 25000 + 3.25, compression="gzip"), conversion=1e-6))
write(nwb, "timestamps.nwb")
# Two pauses in the timestamps; floats; growing.
nwb = with_electrodes(4, groups=1)
times = np.arange(500) / 20000
times[200:] += 0.5
times[201:] += 0.25
nwb.add_acquisition(ElectricalSeries("raw", H5DataIO(samples(500, 4, "float32", 3), maxshape=(None, 4), chunks=(128, 4)), nwb.create_electrode_table_region([0, 1, 2, 3], "x"),
                                     timestamps=times, conversion=1e-6))
write(nwb, "pauses.nwb")
# Two series to choose from, one with a single channel stored as a list.
nwb = with_electrodes(4, groups=2)
nwb.add_acquisition(ElectricalSeries("ElectricalSeriesA", samples(100, 2, seed=4), nwb.create_electrode_table_region([0, 1], "x"), rate=30000.0))
nwb.add_acquisition(ElectricalSeries("ElectricalSeriesB", samples(100, 1, seed=5)[:, 0], nwb.create_electrode_table_region([3], "x"), rate=30000.0))
write(nwb, "two_series.nwb")
# No positions.
nwb = with_electrodes(4, relative=False, names=False, groups=1)
nwb.add_acquisition(ElectricalSeries("raw", samples(50, 4, seed=6), nwb.create_electrode_table_region([0, 1, 2, 3], "x"), rate=30000.0))
write(nwb, "no_positions.nwb")
# Timestamps that are no clock.
nwb = with_electrodes(4, groups=1)
nwb.add_acquisition(ElectricalSeries("raw", samples(60, 4, seed=7), nwb.create_electrode_table_region([0, 1, 2, 3], "x"), timestamps=np.cumsum(np.random.default_rng(1).uniform(0, 1e-3, 60))))
write(nwb, "irregular.nwb")
# Neither a recording nor a movie.
write(with_electrodes(4), "nothing.nwb")

from spikeinterface.extractors import read_mearec, read_nwb_recording  # noqa: E402

expected = {}


def note(name, recording, key=None):
    traces = recording.get_traces().astype("<f8")
    one = dict(rate=float(recording.sampling_frequency), ids=[str(i) for i in recording.channel_ids], dtype=str(recording.dtype), start=float(recording.get_times()[0]))
    one["gains"] = [float(g) for g in recording.get_channel_gains()]
    one["offsets"] = [float(g) for g in recording.get_channel_offsets()]
    one["locations"] = recording.get_channel_locations()[:, :2].tolist() if recording.has_probe() else None
    groups = recording.get_property("group")
    one["groups"] = None if groups is None else [str(g) for g in groups]
    one |= dict(shape=list(traces.shape), crc32=zlib.crc32(traces.tobytes()))
    expected[key or name] = one


for name in ("rate.nwb", "timestamps.nwb", "pauses.nwb", "no_positions.nwb"):
    series = dict(electrical_series_path="acquisition/ElectricalSeriesAP") if name == "rate.nwb" else {}
    note(name, read_nwb_recording(folder / name, **series))
note("rate.nwb", read_nwb_recording(folder / "rate.nwb", electrical_series_path="processing/ecephys/LFP/ElectricalSeriesLFP"), "rate.nwb LFP")
note("two_series.nwb", read_nwb_recording(folder / "two_series.nwb", electrical_series_path="acquisition/ElectricalSeriesA"), "two_series.nwb ElectricalSeriesA")

# Movies.
def plane(nwb, name="plane", **more):
    channel = OpticalChannel(name="green", description="x", emission_lambda=520.0)
    device = nwb.devices["scope"] if "scope" in nwb.devices else nwb.create_device("scope")
    return nwb.create_imaging_plane(name=name, optical_channel=channel, description="x", device=device, excitation_lambda=920.0, indicator="GCaMP", location="V1", **more)


def movie(shape, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(dtype)


nwb = empty("movie")
nwb.add_acquisition(TwoPhotonSeries(name="TwoPhotonSeries", data=H5DataIO(movie((9, 7, 5)), compression="gzip", chunks=(4, 7, 5)), imaging_plane=plane(nwb, grid_spacing=[1.5, 2.0], grid_spacing_unit="micrometers"), rate=30.0, unit="n.a."))
write(nwb, "movie.nwb")
nwb = empty("volume")
nwb.add_acquisition(TwoPhotonSeries(name="TwoPhotonSeries", data=movie((6, 4, 5, 3), "int16", 1), imaging_plane=plane(nwb, imaging_rate=7.5, grid_spacing=[1e-6, 1e-6, 5e-6]), timestamps=np.arange(6) / 7.5, unit="n.a."))
write(nwb, "volume.nwb")
nwb = empty("two")
nwb.add_acquisition(TwoPhotonSeries(name="TwoPhotonSeriesGreen", data=movie((4, 5, 6), "float32", 2), imaging_plane=plane(nwb), rate=15.0, unit="n.a."))
nwb.add_acquisition(OnePhotonSeries(name="OnePhotonSeries", data=movie((4, 6, 5), seed=3), imaging_plane=plane(nwb, "other"), rate=20.0, unit="n.a."))
write(nwb, "two_movies.nwb")
nwb = empty("external")
nwb.add_acquisition(ImageSeries(name="behaviour", external_file=["video.avi"], starting_frame=[0], timestamps=np.arange(3) / 30, unit="n.a.", format="external"))
nwb.add_acquisition(TwoPhotonSeries(name="TwoPhotonSeries", external_file=["movie.tif"], starting_frame=[0], format="external", imaging_plane=plane(nwb), timestamps=np.arange(3) / 15, unit="n.a.", dimension=[5, 5]))
write(nwb, "external.nwb")

from roiextractors import NwbImagingExtractor  # noqa: E402


def note_movie(name, values, key=None, **facts):
    expected[key or name] = dict(shape=list(values.shape), dtype=str(values.dtype), crc32=zlib.crc32(values.astype("<f8").tobytes())) | facts


for name, series, facts in (("movie.nwb", "TwoPhotonSeries", dict(frame_rate_hz=30.0, pixel_size_um=[2.0, 1.5])), ("volume.nwb", "TwoPhotonSeries", dict(frame_rate_hz=7.5, pixel_size_um=[1.0, 1.0])),
                            ("two_movies.nwb", "TwoPhotonSeriesGreen", dict(frame_rate_hz=15.0, pixel_size_um=None))):
    got = np.asarray(NwbImagingExtractor(folder / name, optical_series_name=series).get_series())
    got = got[None] if got.ndim == 3 else np.moveaxis(got, 3, 0)
    note_movie(name, got, key=name if name != "two_movies.nwb" else "two_movies.nwb Green", **facts)

# Plain HDF5 movies.
with h5py.File(folder / "suite2p.h5", "w") as file:
    file.create_dataset("data", data=movie((8, 6, 5), "int16", 4), chunks=(3, 6, 5), compression="gzip")
    file["more/others"] = movie((3, 3, 3))
with h5py.File(folder / "one.h5", "w") as file:
    file["imaging/frames"] = movie((5, 4, 3), ">u2", 5)
    file["imaging/times"] = np.arange(5) / 10
with h5py.File(folder / "planes.h5", "w") as file:
    file["movie"] = movie((4, 2, 5, 6), "float32", 6)
with h5py.File(folder / "several.h5", "w") as file:
    file["green"] = movie((4, 5, 6), "uint16", 7)
    file["red"] = movie((4, 5, 6), "uint8", 8)
for name, path in (("suite2p.h5", "data"), ("one.h5", "imaging/frames"), ("planes.h5", "movie"), ("several.h5", "red")):
    values = h5py.File(folder / name)[path][()]
    note_movie(name, values[None] if values.ndim == 3 else np.moveaxis(values, 1, 0), frame_rate_hz=None, pixel_size_um=None)

# MEArec, as its own writer lays it out.
import MEArec  # noqa: E402
from spikeinterface.extractors.neoextractors.mearec import MEArecRecordingExtractor  # noqa: E402

names = dict(
    recordings=dict(fs=32000.0, duration=400 / 32000, dtype="float32", gain=None, chunk_duration=0, noise_level=10, noise_mode="uncorrelated"),
    electrodes=dict(electrode_name="golden", dim=[4, 1], pitch=[25.0, 0.0], shape="square", size=5.0, plane="yz", type="mea", sortlist=None),
    spiketrains=dict(duration=400 / 32000), templates=dict(overlap_threshold=0.9), cell_types=dict(excitatory=["E"], inhibitory=["I"]), seeds=dict(spiketrains=0),
)
positions = np.array([[0.0, 10.0 * (i % 2), 25.0 * i] for i in range(4)])
recordings = samples(400, 4, "float32", 9)
generator = MEArec.RecordingGenerator(rec_dict=dict(recordings=recordings, channel_positions=positions, spiketrains=[]), info=names)
generator.gain_to_uV = None
MEArec.save_recording_generator(generator, folder / "mearec.h5", verbose=False)
note("mearec.h5", MEArecRecordingExtractor(folder / "mearec.h5"))
(folder / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")
for path in sorted(folder.iterdir()):
    print(path.name, path.stat().st_size)
