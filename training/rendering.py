"""Sources turned into bins with noise, chunk by chunk, without a movie of frames."""
import numpy as np
from scipy.ndimage import gaussian_filter1d

from anatomy import course, smooth_noise


class Renderer:
    """Turns sources into bins, chunk by chunk."""

    def __init__(self, rng, s, base, sources):
        self.s, self.sources = s, sources.list
        size = s.size_px
        time = np.arange(s.bins) / s.bins
        self.gain = (1 - s.bleaching * (1 - np.exp(-3 * time)) + s.flicker * rng.standard_normal(s.bins)).astype(np.float32)
        # Dense sources, a row each: neuropil modes; edges that move with the residual shifts.
        images, courses = [], []
        for _ in range(int(rng.integers(2, 8))):
            mode = np.abs(smooth_noise(rng, size, rng.uniform(12, 40)))
            images.append(base * mode)
            trace = course(rng, s, min(1.0, s.event_rate * rng.uniform(0.5, 4)), sources.common)
            courses.append(trace / (trace.std() + 1e-6) * s.neuropil_activity * rng.uniform(0.3, 1))
        still = base.copy()
        for k, trace in enumerate(courses):
            still += images[k] * trace.mean()
        for source in self.sources:
            still[source.rows, source.columns] += source.image * (source.constant + (0 if source.course is None else source.course.mean()))
        if s.jitter_px:
            gradient = np.gradient(still)
            knots = np.linspace(0, size - 1, s.jitter_bands) if s.jitter_bands > 1 else np.zeros(1)
            for axis in (0, 1):
                for k in range(s.jitter_bands):
                    hat = np.ones(size) if s.jitter_bands == 1 else np.interp(np.arange(size), knots, np.eye(s.jitter_bands)[k])
                    images.append((gradient[axis] * hat[:, None]).astype(np.float32))
                    shift = rng.standard_normal(s.bins) + 1.5 * gaussian_filter1d(rng.standard_normal(s.bins), 10) * 6
                    courses.append(shift / shift.std() * s.jitter_px)
        self.still = still
        self.images = np.stack(images).reshape(len(images), -1).astype(np.float32)
        self.courses = np.stack([c - c.mean() for c in courses]).astype(np.float32)
        self.means = [0.0 if source.course is None else float(source.course.mean()) for source in self.sources]
        mean_gain = float(self.gain.mean())
        # Mean over the bins of gain x signal, up to the small covariance of the two.
        self.mean = still * mean_gain
        self.noise = np.sqrt(np.maximum(self.mean, 0.01) / s.photons + s.read_noise**2 / max(s.photons, 4) * 4).astype(np.float32)
        self._noise_strip(rng)
        self._edges(rng)

    def _noise_strip(self, rng):
        """Noise comes from a long strip, a bin's from rows at a random place in it: independent from bin to bin, and nearly free."""
        s = self.s
        rows = max(4000, 2 * s.bins) + s.size_px
        noise = rng.standard_normal((rows, s.size_px), dtype=np.float32)
        skew = 1 / np.sqrt(s.photons)  # Poisson's, to first order
        noise += np.float32(skew / 6) * (noise * noise - 1)
        for axis in (0, 1):
            a = np.float32(s.noise_correlation[axis])
            noise = (1 - 2 * a) * noise + a * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
        noise /= noise.std()
        if s.line_noise:
            noise += np.float32(s.line_noise) * rng.standard_normal((rows, 1), dtype=np.float32)
        self.strip = noise

    def _edges(self, rng):
        s, size = self.s, self.s.size_px
        self.measured = np.ones((size, size), bool)
        self.missing = None
        for kind, width in (("never", s.never_measured_px), ("sometimes", s.missing_edge_px)):
            if not width:
                continue
            side = int(rng.integers(4))
            where = np.zeros((size, size), bool)
            np.rot90(where, side)[:width] = True
            if kind == "never":
                self.measured &= ~where
            else:
                # Row k from the edge was outside the frame in a bin whose excursion is larger than k.
                depth = np.zeros((size, size), np.float32)
                np.rot90(depth, side)[:width] = np.arange(width, 0, -1, dtype=np.float32)[:, None]
                # What stands there then: nothing at all, the few frames that saw it with a still image or without, or smeared edges.
                self.missing = depth, rng.exponential(width / 2.5, s.bins).astype(np.float32), width, float(rng.choice([0.0, 0.6, 1.4, 3.0]))

    def chunk(self, rng, start, stop):
        """u of `summary` for bins start .. stop: float32 [bins, size, size]."""
        s, size = self.s, self.s.size_px
        count = stop - start
        signal = (self.courses[:, start:stop].T @ self.images).reshape(count, size, size)
        for source, mean in zip(self.sources, self.means):
            if source.course is not None:
                change = source.course[start:stop] - np.float32(mean)
                signal[:, source.rows, source.columns] += change[:, None, None] * source.image
        gain = self.gain[start:stop] - self.gain.mean()
        if s.bleaching or s.flicker > 0.004:
            signal += gain[:, None, None] * self.still
        # Photon noise grows with the signal of the moment.
        scale = signal / np.maximum(self.mean, 0.05)
        scale += 1
        np.clip(scale, 0.2, 25, out=scale)
        np.sqrt(scale, out=scale)
        offsets = rng.integers(0, len(self.strip) - size, count)
        for k in range(count):
            rows = self.strip[offsets[k] : offsets[k] + size]
            shift = int(rng.integers(size))
            scale[k, :, shift:] *= rows[:, : size - shift]
            scale[k, :, :shift] *= rows[:, size - shift :]
        signal /= self.noise
        signal += scale
        signal *= np.float32(1 / s.noise_error)
        if self.missing is not None:
            depth, excursion, width, left = self.missing
            for k in np.flatnonzero(excursion[start:stop] > 1):
                signal[k][depth > width + 1 - excursion[start + k]] *= np.float32(left * rng.random())
        return signal
