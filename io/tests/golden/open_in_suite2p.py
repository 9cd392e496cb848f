"""Opens the folders that the test `tests/writers/` leaves in Suite2p's own window, without a screen. Run by hand: Suite2p is large, and
under the GPL; it is only run here.

pip install suite2p==1.1.0 PyQt6 pyqtgraph qtpy superqt
usage: QT_QPA_PLATFORM=offscreen python open_in_suite2p.py TARGET/tmp/imaging_example      (TARGET: cargo's target folder)
"""
import pathlib, shutil, sys, tempfile
import suite2p
from suite2p.gui import gui2p

base = pathlib.Path(sys.argv[1])
app = gui2p.QApplication([])
with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder) / "suite2p"
    for plane in (0, 1):
        shutil.copytree(base / "suite2p/plane0", folder / f"plane{plane}")
        shutil.copy(base / "data.bin", folder / f"plane{plane}")
    shutil.copytree(base / "suite2p/empty", folder / "plane2")
    suite2p.io.combined(str(folder), save=True)
    shutil.copytree(base / "suite2p/plane1", folder / "plane3")
    for name, n_cells in (("plane0", 5), ("plane3", 5), ("combined", 10)):
        window = gui2p.MainWindow(statfile=str(folder / name / "stat.npy"))
        app.processEvents()
        assert window.loaded and len(window.stat) == n_cells and window.Fcell.shape == (n_cells, 7), name
print("all opened")
