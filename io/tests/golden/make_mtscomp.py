"""Recordings compressed by mtscomp in each of its ways -> mtscomp/

pip install mtscomp==1.0.2 numpy; run in this folder: python make_mtscomp.py
The sample of channel c at time t is (37 t + 9000 c + t^2 // 7) mod 65536, taken as 16 bits with sign, so that differences wrap; the
script checks it against what mtscomp reads. spikeglx/ has the meta file of a probe with four saved channels and the sync word.
"""
import pathlib, shutil
import numpy as np
import mtscomp

here = pathlib.Path(__file__).parent
folder = here / "mtscomp"
shutil.rmtree(folder, ignore_errors=True)
(folder / "spikeglx").mkdir(parents=True)
N, CHANNELS = 700, 5
t = np.arange(N)[:, None].astype("int64")
samples = ((37 * t + 9000 * np.arange(CHANNELS) + t * t // 7) % 65536).astype("uint16").view("int16")
ways = {
    "usual": dict(),
    "no_time_diff": dict(do_time_diff=False),
    "spatial_diff": dict(do_spatial_diff=True),
    "spatial_only": dict(do_time_diff=False, do_spatial_diff=True),
    "sample_major": dict(chunk_order="C"),
    "int32": dict(dtype="int32"),
    "uint16": dict(dtype="uint16"),
}
for name, config in ways.items():
    config = dict(config)
    dtype = config.pop("dtype", "int16")
    raw = folder / "raw.bin"
    raw.write_bytes(samples.astype(dtype).tobytes())
    mtscomp.compress(raw, folder / f"{name}.cbin", folder / f"{name}.ch", sample_rate=300.0, n_channels=CHANNELS, dtype=dtype, chunk_duration=1.0, check_after_compress=True, **config)
    reader = mtscomp.decompress(folder / f"{name}.cbin", folder / f"{name}.ch")
    assert (reader[:] == samples.astype(dtype)).all() and reader[:].dtype == dtype, name
    print(name, reader.chunk_bounds, reader.chunk_offsets)
raw.unlink()
meta = f"""typeThis=imec
imDatPrb_pn=NP2010
imDatPrb_type=24
imSampRate=300
imAiRangeMax=0.5
imAiRangeMin=-0.5
imMaxInt=8192
imChan0apGain=80
acqApLfSy=384,0,1
snsApLfSy=4,0,1
nSavedChans=5
snsSaveChanSubset=0:3,384
firstSample=600
fileSizeBytes={samples.nbytes}
~snsGeomMap=(NP2010,1,0,70)(0:27:0:1)(0:59:0:1)(0:27:15:1)(0:59:15:1)
"""
(folder / "spikeglx" / "run_g0_t0.imec0.ap.meta").write_text(meta)
for end in ["cbin", "ch"]:
    shutil.copy(folder / f"usual.{end}", folder / "spikeglx" / f"run_g0_t0.imec0.ap.{end}")
