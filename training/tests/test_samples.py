"""Training samples keep what they promise. Run: pytest training/tests"""
import pathlib
import sys

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import anatomy  # noqa: E402
import generator  # noqa: E402
import masks  # noqa: E402
import real  # noqa: E402
import samples  # noqa: E402
import rendering  # noqa: E402
import score  # noqa: E402
import settings  # noqa: E402
import summary  # noqa: E402


def small_settings(rng, **changes):
    drawn = settings.draw_settings(rng)
    for name, value in (dict(size_px=96, bins=70, cover=0.25) | changes).items():
        setattr(drawn, name, value)
    return drawn


def test_the_same_seed_gives_the_same_field():
    first, second = (generator.make_field(r, small_settings(r)) for r in (np.random.default_rng(5), np.random.default_rng(5)))
    assert np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)


def test_many_fields_are_finite_and_their_labels_rated():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        field = generator.make_field(rng, small_settings(rng, cover=0.0 if seed == 0 else 0.3))
        assert np.isfinite(field.images).all() and np.isfinite(field.mean).all(), seed
        assert field.labels.max() < len(field.seen) == len(field.fires), seed
        # A still image cannot show more cells than the movie.
        assert ((field.rated_labels(True, False) > 0) <= (field.rated_labels() > 0)).all(), seed
        if seed == 0:
            assert not field.labels.any()


def test_the_chunks_of_a_field_have_zero_mean_and_unit_noise():
    rng = np.random.default_rng(3)
    drawn = small_settings(rng, bins=600, photons=200.0, cover=0.0, processes=0.0, blobs=0.0, puncta=0.0, defocused=0.0, bleaching=0.0, flicker=0.0,
                              jitter_px=0.0, line_noise=0.0, noise_error=1.0, missing_edge_px=0, never_measured_px=0, neuropil_activity=0.0)
    base, _ = anatomy.tissue(rng, drawn)
    renderer = rendering.Renderer(rng, drawn, base, anatomy.Sources(rng, drawn))
    u = renderer.chunk(rng, 0, 600)
    # Sampling error of 600 x 9,216 values that are correlated over a few pixels.
    assert abs(u.mean()) < 0.01 and abs(u.std() - 1) < 0.02


def test_turned_and_flipped_flows_are_the_flows_of_the_turned_labels():
    rng = np.random.default_rng(4)
    field = generator.make_field(rng, small_settings(rng, size_px=128))
    sample = samples.Sample.from_field(field)
    sample.seen[:], sample.fires[:] = 1, 1
    for _ in range(8):
        stack = samples.crop(rng, sample, 96)
        target, weight = stack[summary.CHANNELS : summary.CHANNELS + 3], stack[-1]
        assert set(np.unique(weight)) <= {0.0, 1.0, 2.0}
        labels = np.zeros((96, 96), np.int32)
        # Whole cells only: those of one connected piece of flow that the square does not cut.
        inside = target[2] > 0
        count, pieces = ndimage.label(inside)[::-1]
        for k in range(1, count + 1):
            y, x = np.nonzero(pieces == k)
            if y.min() > 0 and x.min() > 0 and y.max() < 95 and x.max() < 95 and (weight[y, x] == 1).all():
                labels[y, x] = k
        if labels.any():
            agree = (masks.flows_from_labels(labels) * target[:2] / 5).sum(0)[labels > 0]
            assert np.median(agree) > 0.99


def test_masks_of_perfect_flows_are_the_labels():
    rng = np.random.default_rng(6)
    labels = masks.renumber(generator.make_field(rng, small_settings(rng, diameter_px=13.0, cover=0.3)).labels.astype(np.int32))
    found = masks.build_masks(5 * masks.flows_from_labels(labels), np.where(labels > 0, 5, -5).astype(np.float32))
    total = score.Score()
    total.add(labels, found)
    assert total.f1 > 0.93 and total.iou / total.hits > 0.97


def test_scores_of_known_label_images():
    truth = np.zeros((20, 20), np.int32)
    truth[2:8, 2:8], truth[10:16, 10:16] = 1, 2
    found = np.zeros_like(truth)
    found[2:8, 2:6], found[12:20, 0:6] = 2, 1
    assert score.match(truth, found) == (1, 1, 1, 24 / 36)
    total = score.Score()
    total.add(truth, found, ignored=found == 1)
    assert (total.hits, total.false, total.missed) == (1, 0, 1)


def test_rescaling_keeps_the_labels_sizes():
    labels = np.zeros((90, 120), np.int32)
    labels[20:50, 30:70] = 1
    image, small = real.rescale(labels * 10.0, labels, 0.5)
    assert image.shape == small.shape == (45, 60) and abs((small == 1).sum() - 300) < 40 and not set(real.TRAINING) & set(real.HELD_OUT)
