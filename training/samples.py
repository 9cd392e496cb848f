"""What the network is trained with: a growing pool of generated fields on disk, real images, and batches drawn from both."""
import hashlib
import pathlib

import numpy as np
from scipy.ndimage import gaussian_filter

import generator
import masks
import real
import summary
from settings import draw_settings, log_uniform

# Which channels a training image shows, and how often. `activity` is channels 1 to 3.
MODES = {"all": 0.63, "still": 0.24, "activity": 0.05, "some": 0.08}
REAL_FRACTION = 0.1
# A pool of fields belongs to the text of these files.
SOURCES = ("settings.py", "anatomy.py", "rendering.py", "generator.py", "summary.py")
BORDER_PX = 24


class Sample:
    """A field as it is kept: images float16, labels, flows float16, ratings of the labels."""

    def __init__(self, images, mean, measured, labels, seen, fires, flows):
        self.images, self.mean, self.measured, self.labels = images, mean, measured, labels
        self.seen, self.fires, self.flows = seen, fires, flows

    @property
    def shape(self):
        return self.labels.shape

    @classmethod
    def from_field(cls, field):
        labels = field.labels.astype(np.int32)
        return cls(field.images.astype(np.float16), field.mean, field.measured, field.labels, field.seen, field.fires,
                   masks.flows_from_labels(labels).astype(np.float16))

    def save(self, path):
        # Under another name first: a file that is there is whole.
        with open(path.with_suffix(".part"), "wb") as file:
            np.savez(file, **vars(self))
        path.with_suffix(".part").rename(path)

    @classmethod
    def load(cls, path):
        with np.load(path) as file:
            return cls(**{name: file[name] for name in file.files})


class Pool:
    """Generated fields 0, 1, 2, ... of one seed, made when first asked for and kept in `folder`."""

    def __init__(self, folder, seed):
        source = b"".join((pathlib.Path(__file__).with_name(name)).read_bytes() for name in SOURCES)
        # The source's digest is part of the name: a changed generator never reads an older one's fields.
        self.folder = pathlib.Path(folder) / f"{hashlib.sha256(source).hexdigest()[:12]}-{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seed, self.samples = seed, []

    def ready(self):
        """Whether the next field is on disk already."""
        return (self.folder / f"{len(self.samples):06d}.npz").exists()

    def grow(self):
        number = len(self.samples)
        path = self.folder / f"{number:06d}.npz"
        if path.exists():
            self.samples.append(Sample.load(path))
            return
        rng = np.random.default_rng([self.seed, number])
        sample = Sample.from_field(generator.make_field(rng, draw_settings(rng)))
        sample.save(path)
        self.samples.append(sample)


def real_samples(folder, rng, versions=6):
    """The training half of the real images, each at several scales: diameters of 8 to 20 px."""
    samples = []
    for name in real.TRAINING:
        image, labels = real.read(folder, name)
        for _ in range(versions):
            factor = log_uniform(rng, 8, 20) / real.diameter_px(labels)
            scaled, small = real.rescale(image, labels, factor)
            small = masks.renumber(small).astype(np.int16)
            rating = np.ones(int(small.max()) + 1, np.int8)
            samples.append(Sample(None, scaled, np.ones(small.shape, bool), small, rating, -rating,
                                  masks.flows_from_labels(small.astype(np.int32)).astype(np.float16)))
    return samples


def still_image(rng, mean, measured):
    """Channel 0 of a mean image as another microscope might have given it: gamma, blur, noise, saturation."""
    image = mean.astype(np.float32)
    low, high = np.percentile(image[measured], [1, 99.5])
    image = np.clip((image - low) / (high - low + 1e-6), -0.5, 8)
    if rng.random() < 0.3:
        image = np.sign(image) * np.abs(image) ** np.float32(rng.uniform(0.6, 1.3))
    if rng.random() < 0.3:
        image = gaussian_filter(image, rng.uniform(0.3, 1.0))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        if rng.random() < 0.5:
            noise = gaussian_filter(noise, 0.6) * 2
        image = image + noise * log_uniform(rng, 0.005, 0.1) * np.sqrt(np.clip(image, 0.1, 4))
    if rng.random() < 0.15:
        image = np.minimum(image, rng.uniform(0.7, 1.2))
    return summary.local_contrast(image, measured)


def show(rng, sample):
    """The channels that a training image shows, float32 [4, height, width], and its labels with -1 where unsure."""
    if sample.images is None:
        mode = "still"
    else:
        mode = rng.choice(list(MODES), p=list(MODES.values()))
    images = np.zeros((summary.CHANNELS, *sample.shape), np.float32)
    if mode == "still":
        images[0] = still_image(rng, sample.mean, sample.measured)
        return images, generator.rated(sample.labels, sample.seen, sample.fires, True, False)
    images[:] = sample.images
    images += rng.normal(0, 0.04, (summary.CHANNELS, 1, 1)).astype(np.float32)
    images *= 1 + rng.normal(0, 0.06, (summary.CHANNELS, 1, 1)).astype(np.float32)
    images *= sample.measured
    if mode == "activity":
        images[0] = 0
        return images, generator.rated(sample.labels, sample.seen, sample.fires, False, True)
    if mode == "some":
        images[rng.integers(1, summary.CHANNELS)] = 0
    return images, generator.rated(sample.labels, sample.seen, sample.fires)


def crop(rng, sample, side):
    """A square of `side` px, turned and flipped at random: images, target (flows x 5, inside), weight."""
    images, labels = show(rng, sample)
    flows = sample.flows.astype(np.float32)
    weight = (labels >= 0).astype(np.float32)
    cells = labels > 0
    # Where two cells touch, the border between them is what decides; its pixels count more.
    touching = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        edge = (a != b) & (a > 0) & (b > 0)
        view = np.moveaxis(touching, axis, 0)
        view[:-1] |= edge
        view[1:] |= edge
    weight[touching] *= 2.0
    target = np.concatenate([5 * flows * cells, cells[None].astype(np.float32)])
    stack = np.concatenate([images, target, weight[None]])
    # Images end: sometimes the square reaches over the edge, as tiles do.
    border = [max(BORDER_PX if rng.random() < 0.25 else 0, side - n) for n in labels.shape]
    stack = np.pad(stack, ((0, 0), *((b, b) for b in border)))
    y, x = (int(rng.integers(n - side + 1)) for n in stack.shape[1:])
    stack = stack[:, y : y + side, x : x + side]
    turns, flip = int(rng.integers(4)), rng.random() < 0.5
    stack = np.rot90(stack, turns, (1, 2)).copy()
    fy, fx = summary.CHANNELS, summary.CHANNELS + 1
    for _ in range(turns):
        # A quarter turn from the axis y to x takes (y, x) to (-x, y).
        stack[fy], stack[fx] = -stack[fx].copy(), stack[fy].copy()
    if flip:
        stack = stack[:, :, ::-1].copy()
        stack[fx] *= -1
    return stack


def batch(rng, pool, real_pool, pixels):
    """Squares of one random size with about `pixels` pixels in all. Returns images, target and weight, float32."""
    side = int(rng.choice([96, 128, 160, 192, 224], p=[0.25, 0.35, 0.2, 0.1, 0.1]))
    large = [s for s in pool if min(s.shape) >= side] or pool
    stacks = []
    for _ in range(max(1, round(pixels / side**2))):
        source = real_pool if real_pool and rng.random() < REAL_FRACTION else large
        stacks.append(crop(rng, source[rng.integers(len(source))], side))
    stack = np.ascontiguousarray(np.stack(stacks))
    c = summary.CHANNELS
    return stack[:, :c], stack[:, c : c + 3], stack[:, c + 3]
