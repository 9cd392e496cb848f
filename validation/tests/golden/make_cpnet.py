"""Write cpnet/: what Cellpose 3.1.1.2 (BSD-3) gives for small networks, flows and images, and what training/summary.py gives.

usage: make_cpnet.py          (Python 3.11 with training/requirements.txt; about one minute)

Every number is float32 unless said otherwise; arrays are in C order; labels are int32, 0 outside cells.

network_{1,2,3}.safetensors   random weights under Cellpose's names, batch-norm statistics far from 0 and 1
network_{1,2,3}.npz           input_a, output_a, input_b, output_b: [images, channels, height, width] and [images, 3, height, width]
masks_{1,2,3}.npz             flows [2, height, width] (5 x unit vectors, noisy), logit [height, width], masks; `masks` is
                              dynamics.compute_masks(flows, logit, min_size=15) on the CPU. masks_3 has no cell.
path.safetensors              a tiny network that was trained for a minute; diameter_px 16
path_{1,2}.npz                image [height, width, 2] of whole numbers, diameter_px; output [3, height, width] (flows, logit) at every
                              second row and column, and masks, as CellposeModel.eval gives them: normalised, scaled (path_2 only),
                              padded, tiled by 224, blended, masks built
summary.npz                   movie [bins, height, width] of whole numbers, noise [height, width], measured (bool); images [4, height,
                              width] without and images_masked with the mask
"""
import os
os.environ["OMP_NUM_THREADS"] = "1"
import pathlib
import sys
import tempfile

import numpy as np
import torch
from cellpose import dynamics, models
from cellpose.resnet_torch import CPnet
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter

here = pathlib.Path(__file__).parent
out = here / "cpnet"
out.mkdir(exist_ok=True)
sys.path.insert(0, str(here.parents[2] / "training"))
from summary import summarise  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(1)
rng = np.random.default_rng(1)


def write_weights(net, path, diameter_px):
    state = {k: v.detach().float().contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    metadata = dict(format="somata-cpnet-1", input="cellpose", diameter_px=str(diameter_px), tile="224", licence="MIT OR Apache-2.0",
                    recipe="validation/tests/golden/make_cpnet.py")
    save_file(state, path, metadata=metadata)


def ellipses(height, width, count, radius, rng):
    """Labels of ellipses that may touch; a later one covers an earlier one."""
    yy, xx = np.mgrid[0:height, 0:width].astype("f4")
    labels = np.zeros((height, width), "i4")
    for k in range(1, count + 1):
        cy, cx, a, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0, np.pi), radius * rng.uniform(0.8, 1.25)
        u, v = (xx - cx) * np.cos(a) + (yy - cy) * np.sin(a), (yy - cy) * np.cos(a) - (xx - cx) * np.sin(a)
        labels[np.hypot(u / 1.2, v * 1.2) < r] = k
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype("i4")


def random_networks():
    cases = [([2, 4, 8, 16], (2, 48, 72), (1, 56, 40)), ([4, 6, 8, 12, 16], (1, 48, 80), (2, 24, 40)), ([1, 6, 10], (1, 34, 46), (3, 20, 28))]
    for number, (widths, *shapes) in enumerate(cases, 1):
        net = CPnet(list(widths), 3, 3)
        with torch.no_grad():
            for name, tensor in net.state_dict().items():
                if name.endswith("running_mean"):
                    tensor.normal_(0, 0.5)
                elif name.endswith("running_var"):
                    tensor.uniform_(0.3, 3)
                elif ".0.weight" in name and tensor.ndim == 1:
                    tensor.uniform_(0.5, 1.6).mul_(torch.where(torch.rand_like(tensor) < 0.15, -1.0, 1.0))
                elif ".0.bias" in name and tensor.ndim == 1:
                    tensor.normal_(0, 0.4)
        net.eval()
        write_weights(net, out / f"network_{number}.safetensors", 30)
        arrays = {}
        for letter, (images, height, width) in zip("ab", shapes):
            x = torch.randn(images, widths[0], height, width)
            with torch.no_grad():
                y = net(x)[0]
            arrays |= {f"input_{letter}": x.numpy(), f"output_{letter}": y.numpy()}
        np.savez_compressed(out / f"network_{number}.npz", **arrays)


def quantised(array, steps):
    """Rounded to 1/steps: exact in float32 and small when compressed."""
    return (np.round(array * steps) / steps).astype("f4")


def mask_cases():
    for number, (height, width, count, noise) in enumerate([(96, 112, 30, 0.5), (150, 130, 48, 1.0), (40, 56, 0, 0.5)], 1):
        labels = ellipses(height, width, count, 8, rng)
        flows = dynamics.masks_to_flows(labels) if count else np.zeros((2, height, width))
        flows = 5 * flows + gaussian_filter(rng.normal(0, 1, flows.shape), (0, 1, 1)) * noise * 3.5
        logit = gaussian_filter((labels > 0) * 10.0 - 5.0, 0.7) + gaussian_filter(rng.normal(0, 1, labels.shape), 1) * 4
        if count:
            # One cell with a hole in its probability, one whose flows are wrong (must go), one too small (must go).
            for label, change in ((labels[height // 2].max(), "hole"), (labels[:, width // 2].max(), "flows")):
                y, x = np.nonzero(labels == label)
                if change == "hole":
                    logit[int(y.mean()) + 2, int(x.mean()) + 2] = -3
                else:
                    flows[:, y, x] = rng.normal(0, 3, (2, len(y)))
            logit[2:5, 2:6], flows[:, 2:5, 2:6] = 4, 0
        else:
            logit -= 30
        flows, logit = quantised(flows, 64), quantised(logit, 64)
        masks = dynamics.compute_masks(flows, logit, min_size=15).astype("i4")
        print(f"masks_{number}: {masks.max()} masks of {labels.max()} cells")
        np.savez_compressed(out / f"masks_{number}.npz", flows=flows, logit=logit, masks=masks)


class Adapter(torch.nn.Module):
    """CellposeModel keeps styles in a field of 256 values; a narrower network's style is padded with zeros."""

    def __init__(self, net):
        super().__init__()
        self.net, self.nout, self.mkldnn, self.device = net, 3, False, torch.device("cpu")

    def forward(self, x):
        y, style, _ = self.net(x)
        return y, torch.nn.functional.pad(style, (0, 256 - style.shape[1])), None


def blobs(height, width, count, radius, rng):
    labels = ellipses(height, width, count, radius, rng)
    bright = np.r_[0, rng.uniform(0.5, 1.5, labels.max())][labels]
    image = gaussian_filter(bright, 1) + rng.normal(0, 0.15, labels.shape)
    second = gaussian_filter(rng.normal(size=labels.shape), 3)
    return np.clip(np.round(np.stack([60 + 90 * image, 100 + 200 * second], -1)), 0, 255).astype("f4"), labels


def whole_path():
    net = CPnet([2, 4, 8, 16], 3, 3)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    steps = 500
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps) + 1e-5
        x, y = [], []
        for _ in range(4):
            image, labels = blobs(72, 72, 9, 8, rng)
            low, high = np.percentile(image, [1, 99], axis=(0, 1))
            x.append(((image - low) / (high - low)).transpose(2, 0, 1))
            y.append(np.concatenate([5 * dynamics.masks_to_flows_cpu(labels)[0], (labels > 0)[None]]))
        x, y = torch.tensor(np.stack(x), dtype=torch.float32), torch.tensor(np.stack(y), dtype=torch.float32)
        p = net(x)[0]
        loss = ((p[:, :2] - y[:, :2]) ** 2).mean() / 2 + torch.nn.functional.binary_cross_entropy_with_logits(p[:, 2], y[:, 2])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    write_weights(net, out / "path.safetensors", 16)
    with tempfile.NamedTemporaryFile() as file:
        # CellposeModel only makes networks of its own widths; it is given one, and the tiny one is put in its place.
        CPnet([2, 32, 64, 128, 256], 3, 3).save_model(file.name)
        model = models.CellposeModel(gpu=False, pretrained_model=file.name)
    model.net, model.diam_mean = Adapter(net).eval(), 16.0
    for number, (height, width, count, diameter_px) in enumerate([(250, 120, 60, 16), (131, 90, 14, 20)], 1):
        image, labels = blobs(height, width, count, diameter_px / 2, rng)
        masks, (_, flows, logit), _ = model.eval(image, channels=[1, 2], channel_axis=2, diameter=diameter_px)
        print(f"path_{number}: {masks.max()} masks of {labels.max()} cells")
        output = np.concatenate([flows, logit[None]])[:, ::2, ::2]
        np.savez_compressed(out / f"path_{number}.npz", image=image, diameter_px=np.float32(diameter_px), output=output.astype("f4"), masks=masks.astype("i4"))


def summary_images():
    bins, height, width = 60, 40, 44
    noise = quantised(rng.uniform(3, 6, (height, width)), 16)
    labels = ellipses(height, width, 6, 5, rng)
    traces = np.concatenate([np.zeros((1, bins)), gaussian_filter((rng.random((labels.max(), bins)) < 0.05).astype("f8"), (0, 1)) * 90])
    movie = 200 + 40 * gaussian_filter(rng.normal(size=(height, width)), 6)[None] * 6 + traces[labels].transpose(2, 0, 1)
    movie = np.round(movie + rng.normal(size=movie.shape) * noise).astype("f4")
    measured = np.ones((height, width), bool)
    measured[:3], measured[:, -2:], measured[20, 7] = False, False, False
    np.savez_compressed(out / "summary.npz", movie=movie, noise=noise, measured=measured, images=summarise(movie, noise),
                        images_masked=summarise(movie, noise, measured))


random_networks()
mask_cases()
whole_path()
summary_images()
for path in sorted(out.iterdir()):
    print(f"{path.stat().st_size / 1000:7.1f} kB  {path.name}")
