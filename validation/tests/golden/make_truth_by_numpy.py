"""Write truth_by_numpy.npz as shared/bench/make_recording.py writes truth.npz (numpy.savez, no displacement)."""
import pathlib
import numpy as np

np.savez(pathlib.Path(__file__).with_name("truth_by_numpy.npz"), samples=np.array([5, 40, 90], "int64"), labels=np.array([0, 2, 0], "int64"),
         unit_locations=np.arange(9.0).reshape(3, 3), fs=32000.0)
