"""Scores of a weights file or checkpoint on data that it was not trained on.

usage: evaluate.py WEIGHTS [--json OUT.json] [--fields N] [--real FOLDER] [--neurofinder FOLDER] [--movies FOLDER ... --bench FOLDER --register FOLDER]

generated fields   of seeds of their own, by density, diameter and photons; with all channels and with the mean image alone
--real             the held-out half of the real images (real.py), brought to the network's diameter by their labels' median
--neurofinder      two two-photon mean images with 302 human-annotated neurons (neurofinder_2p). Annotators saw the movie and marked what
                   was active; silent visible cells count as false here
--movies           folders made by make_movie.py; --bench holds score_movie.py, --register the prototype's register.py. The first run
                   registers the movie and keeps the summary images beside it

F1 and AP are at an IoU of 0.5.
"""
import os
os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import dataclasses
import json
import pathlib
import sys

import numpy as np
import torch
from PIL import Image

import generator
import masks
import real
import settings
import summary
import weights
from network import CPnet
from score import Score

torch.set_num_threads(1)

GENERATED_SEED = 770_001
BIN_FRAMES = 10


def load(path):
    """The network of a weights file or a checkpoint."""
    if str(path).endswith(".safetensors"):
        return weights.read(path)[0]
    checkpoint = torch.load(path, weights_only=True)
    net = CPnet(checkpoint["widths"])
    net.load_state_dict(checkpoint["state"])
    return net.eval().to(memory_format=torch.channels_last)


def segment(net, images, **options):
    """Labels of summary images [4, height, width], or of channel 0 alone [height, width]."""
    if images.ndim == 2:
        images = np.stack([images, *[np.zeros_like(images)] * (summary.CHANNELS - 1)])
    y = weights.run_tiled(net, images.astype(np.float32))
    return masks.build_masks(y[:2], y[2], **options)


def scaled_segment(net, image, factor):
    """Labels of a still image of any scale: scaled by `factor`, segmented, and the labels scaled back."""
    small, _ = real.rescale(image, np.zeros(image.shape, np.int32), factor)
    found = segment(net, summary.local_contrast(small))
    at = [np.clip(((np.arange(n) + 0.5) * m / n).astype(int), 0, m - 1) for n, m in zip(image.shape, small.shape)]
    return masks.renumber(found[np.ix_(*at)])


def generated(net, fields):
    """Rows of scores by stratum, each over `fields` fields of 192 x 192 px."""
    strata = {
        "sparse": dict(cover=0.06, spacing=1.0), "dense": dict(cover=0.3, spacing=0.8), "crowded": dict(cover=0.55, spacing=0.6),
        "8 px": dict(diameter_px=8.0), "12 px": dict(diameter_px=12.0), "18 px": dict(diameter_px=18.0),
        "1 photon a frame": dict(photons=10.0), "50 photons a frame": dict(photons=500.0),
        "60 bins": dict(bins=60), "1500 bins": dict(bins=1500), "no cells": dict(cover=0.0),
    }
    common = dict(cover=0.2, spacing=0.85, bins=200, diameter_px=12.0, photons=60.0, size_px=192)
    result = {}
    for number, (name, changes) in enumerate(strata.items()):
        scores = {"all": Score(), "mean only": Score()}
        for k in range(fields):
            rng = np.random.default_rng([GENERATED_SEED, number, k])
            field = generator.make_field(rng, dataclasses.replace(settings.draw_settings(rng), **(common | changes)))
            for mode, score in scores.items():
                found = segment(net, field.images if mode == "all" else field.images[0])
                labels = field.rated_labels(True, mode == "all").astype(np.int32)
                score.add(masks.renumber(np.maximum(labels, 0)), found, labels < 0)
        result[name] = {mode: score.row() for mode, score in scores.items()}
        if name == "no cells":
            result[name] = {mode: dict(false_cells_a_field=round(score.false / fields, 2)) for mode, score in scores.items()}
        print(f"generated, {name}: {json.dumps(result[name])}", flush=True)
    return result


def held_out_images(net, folder, diameter_px=12.0):
    result, groups = {}, {}
    for name in real.HELD_OUT:
        image, labels = real.read(folder, name)
        found = scaled_segment(net, image, diameter_px / real.diameter_px(labels))
        groups.setdefault(name.split("/")[0], Score()).add(masks.renumber(labels), found)
    for name, score in groups.items():
        result[name] = score.row()
        print(f"held out, {name}: {json.dumps(result[name])}", flush=True)
    return result


def neurofinder(net, folder):
    total, result = Score(), {}
    for name in ("0100test", "0101test"):
        image = np.asarray(Image.open(pathlib.Path(folder) / f"{name}.png"), np.float32)[..., :3].mean(-1)
        labels = np.asarray(Image.open(pathlib.Path(folder) / f"{name}_gtFine_instanceIds.png")).astype(np.int32)
        found = segment(net, summary.local_contrast(image))
        score = Score()
        for s in (score, total):
            s.add(masks.renumber(labels), found)
        result[name] = score.row()
    result["both"] = total.row()
    print(f"neurofinder: {json.dumps(result)}", flush=True)
    return result


def movie_summary(folder, register_folder):
    """Summary images of a simulated movie, registered by the prototype; kept beside the movie."""
    kept = folder / "summary_images.npz"
    if kept.exists():
        with np.load(kept) as file:
            return file["images"]
    import tifffile
    sys.path.insert(0, str(register_folder))
    import register
    movie = tifffile.imread(folder / "movie.tif")
    with torch.no_grad():
        reference, variance = register.reference(movie)
        _, _, registered = register.register(movie, reference, variance, K=6, iters=2, ridge=0.5)
    squared, step = np.zeros(movie.shape[1:]), registered[0].astype(np.float32)
    for frame in registered[1:]:
        frame = frame.astype(np.float32)
        squared += (frame - step) ** 2
        step = frame
    noise = np.sqrt(squared / (len(registered) - 1) / 2) / np.sqrt(BIN_FRAMES)
    bins = len(registered) // BIN_FRAMES
    binned = np.stack([registered[k * BIN_FRAMES : (k + 1) * BIN_FRAMES].astype(np.float32).mean(0) for k in range(bins)])
    images = summary.summarise(binned, noise.astype(np.float32))
    np.savez(kept, images=images)
    return images


def movies(net, folders, bench, register_folder):
    sys.path.insert(0, str(bench))
    from score_movie import score
    result = {}
    for folder in map(pathlib.Path, folders):
        images = movie_summary(folder, register_folder)
        truth = dict(np.load(folder / "truth.npz"))
        found = segment(net, images)
        row = score([found == k for k in range(1, found.max() + 1)], None, None, truth)
        still = segment(net, images[0])
        row["f1_all_mean_only"] = score([still == k for k in range(1, still.max() + 1)], None, None, truth)["f1_all"]
        result[folder.name] = row
        print(f"movie {folder.name}: {json.dumps(row)}", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights")
    parser.add_argument("--json", default="")
    parser.add_argument("--fields", type=int, default=6, help="generated fields for each stratum; 0 for none")
    parser.add_argument("--real", default="")
    parser.add_argument("--neurofinder", default="")
    parser.add_argument("--movies", nargs="*", default=[])
    parser.add_argument("--bench", default="")
    parser.add_argument("--register", default="")
    arguments = parser.parse_args()
    net = load(arguments.weights)
    result = {}
    if arguments.neurofinder:
        result["neurofinder"] = neurofinder(net, arguments.neurofinder)
    if arguments.real:
        result["held_out"] = held_out_images(net, arguments.real)
    if arguments.movies:
        result["movies"] = movies(net, arguments.movies, arguments.bench, arguments.register)
    if arguments.fields:
        result["generated"] = generated(net, arguments.fields)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
