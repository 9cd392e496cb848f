"""Summary images of a registered, binned movie: the network's input. This file is the reference definition.

Every image is a running sum or a running maximum over the bins, so it streams: memory does not grow with the movie. somata's Rust code
computes the same images; a golden file holds the two together.

Notation: Y_t(p) is bin t (the mean of `bin` registered frames, `bin` about half the indicator's decay) at pixel p, t = 0 .. T-1. n(p) is
the noise of a bin: the standard deviation of one frame (root mean square of successive differences / sqrt(2)) / sqrt(bin).
box_k[I](p) is the mean of I over the k x k square around p, over those of its pixels that are inside the image AND measured; there is no
reflection and no padding value. A pixel that was never measured is absent: it enters no mean, and is 0 in every channel.

    mean(p) = (1/T) sum_t Y_t(p)
    loc     = mean - box_25[mean]
    s       = standard deviation, over the measured pixels, of loc clipped at its 1st and 99th percentile
              (percentiles over the measured pixels, linear interpolation between order statistics)
    u_t     = (Y_t - mean) / n
    z_t     = u_t - box_25[u_t]
    b_t     = box_3[z_t]
    r_t(p)  = c(p) b_t(p) - z_t(p), the sum over the other measured pixels of the 3 x 3 square; c(p) is how many pixels it holds,
              p included (9 inside)

    channel 0, local contrast      = asinh(loc / s)                                        (0 where s = 0)
    channel 1, largest activity    = log(1 + max(0, max_t 3 b_t)) - 1.5
    channel 2, local correlation   = 2 sum_t z_t r_t / sqrt(sum_t z_t^2 sum_t r_t^2 + 1e-9)
    channel 3, energy of activity  = log(1 + sqrt(sum_t max(3 b_t - 3, 0)^2)) - 1.0

For white noise 3 b_t has unit variance inside the image. A bin in which a pixel was not seen (it was outside the frame) holds
that pixel's mean over the other bins, so that it neither adds nor hides activity. All sums in channel 1 to 3 are over all bins.
"""
import numpy as np
from scipy.ndimage import uniform_filter1d

CHANNELS = 4
BACKGROUND_BOX_PX = 25
THRESHOLD_SD = 3.0


class Box:
    """k x k mean over the measured pixels inside the image, for images of one shape."""

    def __init__(self, size_px, measured):
        self.size_px = size_px
        self.measured = measured
        self.everywhere = bool(measured.all())
        self.count = self._sum(measured.astype(np.float32))
        self.inverse = np.where(measured, 1.0 / np.maximum(self.count, 1.0), 0.0).astype(np.float32)

    def _sum(self, image):
        k = self.size_px
        if k == 3:  # shifted additions are twice as fast as a general filter
            across = image.copy()
            across[..., 1:] += image[..., :-1]
            across[..., :-1] += image[..., 1:]
            out = across.copy()
            out[..., 1:, :] += across[..., :-1, :]
            out[..., :-1, :] += across[..., 1:, :]
            return out
        # Zero padding and a sum: dividing by the count afterwards makes it the mean over the pixels that exist.
        out = uniform_filter1d(image, k, axis=-1, mode="constant", cval=0.0)
        out = uniform_filter1d(out, k, axis=-2, mode="constant", cval=0.0)
        out *= np.float32(k * k)
        return out

    def __call__(self, image):
        """image: [..., height, width], 0 where not measured. Returns the same shape, 0 where not measured."""
        return self._sum(image) * self.inverse


def local_contrast(mean, measured=None):
    """Channel 0 alone: what a still image gives. mean: [height, width], any unit. Returns float32 [height, width]."""
    mean = np.asarray(mean, np.float32)
    measured = np.ones(mean.shape, bool) if measured is None else measured
    if not measured.any():
        return np.zeros(mean.shape, np.float32)
    # Without the offset, float32 sums over the box keep their digits even for a camera's large pedestal.
    centred = np.where(measured, mean - mean[measured].mean(dtype=np.float64).astype(np.float32), 0.0).astype(np.float32)
    loc = centred - Box(BACKGROUND_BOX_PX, measured)(centred)
    values = loc[measured]
    low, high = np.percentile(values, [1, 99])
    scale = np.clip(values, low, high).std(dtype=np.float64)
    if not scale > 0:
        return np.zeros(mean.shape, np.float32)
    return np.where(measured, np.arcsinh(loc / np.float32(scale)), 0.0).astype(np.float32)


class Summary:
    """Accumulates channels 1 to 3 over chunks of u_t. Feed every bin once, in any order of chunks; then ask for the images."""

    def __init__(self, shape, measured=None):
        self.measured = np.ones(shape, bool) if measured is None else np.asarray(measured, bool)
        self.wide, self.narrow = Box(BACKGROUND_BOX_PX, self.measured), Box(3, self.measured)
        self.largest = np.full(shape, -np.inf, np.float32)
        self.energy, self.own, self.others, self.product = (np.zeros(shape, np.float64) for _ in range(4))

    def add(self, u):
        """u: float32 [bins, height, width], (Y_t - mean) / n; values at unmeasured pixels are ignored."""
        if not self.wide.everywhere:
            u = np.where(self.measured, u, np.float32(0))
        z = u - self.wide(u)
        b = self.narrow(z)
        rest = b * self.narrow.count - z
        self.own += np.einsum("tyx,tyx->yx", z, z)
        self.others += np.einsum("tyx,tyx->yx", rest, rest)
        self.product += np.einsum("tyx,tyx->yx", z, rest)
        b *= np.float32(3)
        np.maximum(self.largest, b.max(0), out=self.largest)
        b -= np.float32(THRESHOLD_SD)
        np.maximum(b, 0, out=b)
        self.energy += np.einsum("tyx,tyx->yx", b, b)

    def channels(self, mean):
        """mean: [height, width] of Y. Returns float32 [4, height, width]."""
        images = np.stack([
            local_contrast(mean, self.measured),
            np.log1p(np.maximum(self.largest, 0)) - 1.5,
            2 * self.product / np.sqrt(self.own * self.others + 1e-9),
            np.log1p(np.sqrt(self.energy)) - 1.0,
        ]).astype(np.float32)
        return images * self.measured


def summarise(movie, noise, measured=None, chunk_bins=64):
    """The four images of a binned movie.

    movie: [bins, height, width]; noise: [height, width], standard deviation of a bin, the movie's unit; measured: bool [height, width]
    or None for all. Returns float32 [4, height, width].

    Raises ValueError where a shape does not fit, where there is no bin, or where the noise is not positive.
    """
    if movie.ndim != 3 or len(movie) == 0:
        raise ValueError(f"a binned movie has the shape [bins, height, width] and at least one bin, not {movie.shape}")
    if noise.shape != movie.shape[1:] or (measured is not None and measured.shape != noise.shape):
        raise ValueError(f"noise and mask need the movie's height and width {movie.shape[1:]}, not {noise.shape}")
    used = noise if measured is None else noise[measured]
    if not (np.isfinite(used).all() and (used > 0).all()):
        raise ValueError("the noise must be positive and finite at every measured pixel; a constant pixel counts as not measured")
    total = np.zeros(noise.shape, np.float64)
    for start in range(0, len(movie), chunk_bins):
        total += movie[start : start + chunk_bins].sum(0, dtype=np.float64)
    mean = (total / len(movie)).astype(np.float32)
    summary = Summary(noise.shape, measured)
    inverse = (1 / np.where(noise > 0, noise, 1)).astype(np.float32)
    for start in range(0, len(movie), chunk_bins):
        summary.add((movie[start : start + chunk_bins].astype(np.float32) - mean) * inverse)
    return summary.channels(mean)
