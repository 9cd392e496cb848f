"""The network and the masks equal Cellpose's; the summary images equal a literal reading of their formulas. Run: pytest training/tests"""
import pathlib
import sys

import numpy as np
import pytest
import torch
from cellpose import dynamics
from cellpose.resnet_torch import CPnet as Theirs
from safetensors.torch import load_file

here = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(here.parents[1]))
import masks  # noqa: E402
import summary  # noqa: E402
from network import CPnet  # noqa: E402

golden = here.parents[2] / "validation/tests/golden/cpnet"


@pytest.mark.parametrize("widths", [[2, 4, 8, 16], [4, 12, 24, 48, 96], [1, 6, 10]])
def test_the_network_has_cellposes_names_and_outputs(widths):
    torch.manual_seed(3)
    theirs, ours = Theirs(list(widths), 3, 3), CPnet(widths)
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {k: v.shape for k, v in ours.state_dict().items()}
    for name, tensor in theirs.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_()
        elif name.endswith("running_var"):
            tensor.uniform_(0.4, 2)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, widths[0], 48, 80)
    for mode in (True, False):
        with torch.no_grad():
            # Same operations in another order at most: a few units in the last place.
            assert torch.allclose(ours.train(mode)(x), theirs.train(mode)(x)[0], atol=2e-6)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_weights_file_gives_the_stored_outputs(number):
    state = load_file(golden / f"network_{number}.safetensors")
    first = state["downsample.down.res_down_0.conv.conv_0.2.weight"].shape[1]
    levels = sum(name.startswith("downsample") and name.endswith("proj.1.weight") for name in state)
    net = CPnet([first] + [state[f"downsample.down.res_down_{n}.proj.1.weight"].shape[0] for n in range(levels)])
    missing = net.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all(k.endswith("num_batches_tracked") for k in missing.missing_keys)
    stored = np.load(golden / f"network_{number}.npz")
    for letter in "ab":
        with torch.no_grad():
            y = net.eval()(torch.from_numpy(stored[f"input_{letter}"])).numpy()
        assert np.abs(y - stored[f"output_{letter}"]).max() < 1e-5


@pytest.mark.parametrize("number", [1, 2, 3])
def test_masks_equal_cellposes_on_stored_flows(number):
    stored = np.load(golden / f"masks_{number}.npz")
    ours = masks.build_masks(stored["flows"], stored["logit"])
    # Float rounding may send single pixels to another peak; nothing else may differ.
    assert (ours != stored["masks"]).mean() < 0.002
    assert ours.max() == stored["masks"].max()


def test_target_flows_equal_cellposes():
    labels = np.load(golden / "masks_2.npz")["masks"]
    assert np.abs(masks.flows_from_labels(labels) - dynamics.masks_to_flows(labels)).max() < 1e-5


def literal_summary(movie, noise, measured):
    """The formulas of summary.py, pixel by pixel."""
    bins, height, width = movie.shape

    def box(image, size):
        r, result = size // 2, np.zeros(image.shape)
        for y in range(height):
            for x in range(width):
                window = (slice(max(0, y - r), y + r + 1), slice(max(0, x - r), x + r + 1))
                if measured[y, x]:
                    result[y, x] = image[window][measured[window]].mean()
        return result

    mean = movie.astype(np.float64).mean(0)
    loc = mean - box(mean, 25)
    inside = loc[measured]
    scale = np.clip(inside, *np.percentile(inside, [1, 99])).std()
    u = (movie - mean) / noise
    z = np.stack([f - box(f, 25) for f in u])
    b = np.stack([box(f, 3) for f in z])
    count = np.array([[measured[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].sum() for x in range(width)] for y in range(height)])
    rest = b * count - z
    images = np.stack([
        np.arcsinh(loc / scale),
        np.log1p(np.maximum(0, (3 * b).max(0))) - 1.5,
        2 * (z * rest).sum(0) / np.sqrt((z * z).sum(0) * (rest * rest).sum(0) + 1e-9),
        np.log1p(np.sqrt((np.maximum(3 * b - 3, 0) ** 2).sum(0))) - 1,
    ])
    return images * measured


@pytest.mark.parametrize("masked", [False, True])
def test_summary_images_follow_their_formulas_and_the_golden_file(masked):
    stored = np.load(golden / "summary.npz")
    measured = stored["measured"] if masked else np.ones_like(stored["measured"])
    fast = summary.summarise(stored["movie"], stored["noise"], measured, chunk_bins=7)
    # float32 against float64.
    assert np.abs(fast - literal_summary(stored["movie"], stored["noise"], measured)).max() < 2e-4
    assert np.abs(fast - stored["images_masked" if masked else "images"]).max() < 2e-5


def test_a_constant_mean_has_no_contrast_and_bad_noise_is_refused():
    assert not summary.local_contrast(np.full((30, 40), 1e4)).any()
    with pytest.raises(ValueError, match="noise"):
        summary.summarise(np.ones((5, 30, 40), "f4"), np.zeros((30, 40), "f4"))
