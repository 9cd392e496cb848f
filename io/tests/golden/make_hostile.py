"""Small archives and pictures that the tests of `tests/hostile` change -> hostile/

pip install numpy pillow roifile          (the committed files: NumPy 2.4.6, Pillow 13.0.0, roifile 2026.2.10)
usage: python make_hostile.py
"""
import pathlib, zipfile
import numpy as np
import roifile
from PIL import Image

folder = pathlib.Path(__file__).parent / "hostile"
folder.mkdir(exist_ok=True)
traces = np.arange(36, dtype="f4").reshape(4, 9)
np.savez(folder / "stored.npz", F=traces, dff=traces / 3)
np.savez_compressed(folder / "deflated.npz", F=traces, dff=np.zeros((4, 9)))

rows, columns = np.mgrid[0:24, 0:40]
gray = (rows * 7 + columns * 3).astype("u1")
rgb = np.stack([gray, gray.T.reshape(24, 40), 255 - gray], axis=-1)
Image.fromarray(gray).save(folder / "gray.jpg", quality=70)
Image.fromarray(rgb).save(folder / "progressive.jpg", quality=60, progressive=True)
Image.fromarray(gray).save(folder / "gray.png")
Image.fromarray(gray.astype("u2") * 200).save(folder / "gray16.png")
Image.fromarray(rgb).quantize(16).save(folder / "palette.png")
Image.fromarray(gray > 90).save(folder / "one_bit.png")

rois = [
    roifile.ImagejRoi.frompoints([[3, 4], [12, 5], [9, 14.5]], name="polygon"),
    roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=2, left=3, bottom=9, right=12, name="rectangle"),
    roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, top=20, left=3, bottom=39, right=22, name="oval"),
]
with zipfile.ZipFile(folder / "regions.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for roi in rois:
        archive.writestr(zipfile.ZipInfo(f"{roi.name}.roi"), roi.tobytes(), zipfile.ZIP_DEFLATED)
