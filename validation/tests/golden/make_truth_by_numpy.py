"""Write truth_by_numpy.npz as shared/bench/make_recording.py writes truth.npz (numpy.savez, no displacement), and movie_truth_by_numpy.npz
as shared/bench/make_movie.py does (numpy.savez_compressed)."""
import pathlib
import numpy as np

np.savez(pathlib.Path(__file__).with_name("truth_by_numpy.npz"), samples=np.array([5, 40, 90], "int64"), labels=np.array([0, 2, 0], "int64"),
         unit_locations=np.arange(9.0).reshape(3, 3), fs=32000.0)

bodies = np.zeros((2, 4, 5), bool)
bodies[0, 1:3, 1:3] = bodies[1, 3, 4] = True
masks = np.zeros((2, 4, 5), "f2")
masks[0, 1:3, 1:3] = [[0.25, 0.5], [0.75, 1]]
np.savez_compressed(pathlib.Path(__file__).with_name("movie_truth_by_numpy.npz"), masks=masks, bodies=bodies, active=np.array([True, False]),
                    calcium=np.array([[0, 1.5, 0.5], [0, 0, 0]], "f4"), spikes=np.array([[1, 0, 2], [0, 0, 0]], "i2"), visible=np.array([1.0, 0.03]),
                    shift_y=np.array([1, -2, 3.5], "f4"), shift_x=np.zeros(3, "f4"), fs=30.0)
