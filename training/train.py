"""Train somata's default network.

usage: train.py --out RUN --minutes 120 --seed 1 --pool /tmp/somata_pool [--real FOLDER] [--widths 4,12,24,48,96] [--start CHECKPOINT]

RUN/last.pt and RUN/best.pt are checkpoints (averaged weights), RUN/log.jsonl has one line for every validation. One thread; generated fields
are made between steps, one for every `--steps-a-field` steps, and kept in the pool, so that a second run starts with all of them.
"""
import os
os.environ.setdefault("OMP_NUM_THREADS", "1")
import argparse
import copy
import json
import pathlib
import time

import numpy as np
import torch

import generator
import masks
import samples
from network import CPnet
from score import Score

torch.set_num_threads(1)

VALIDATION_SEED, VALIDATION_FIELDS = 900_001, 40


# Flows outside cells are asked to be zero with this weight only. With Cellpose's 1, the flows of a doubtful cell shrink with its probability,
# and its mask then fails the test of flows: probability would count twice.
BACKGROUND_FLOW_WEIGHT = 0.15


def loss_of(output, target, weight):
    """Cellpose's: half the mean squared error of the flows (which are times 5) and the cross-entropy of being a cell, weighted."""
    total = weight.sum().clamp(min=1)
    flow_weight = weight * torch.where(target[:, 2] > 0, 1.0, BACKGROUND_FLOW_WEIGHT)
    flow = ((output[:, :2] - target[:, :2]) ** 2 * flow_weight[:, None]).sum() / (2 * total)
    inside = torch.nn.functional.binary_cross_entropy_with_logits(output[:, 2], target[:, 2], reduction="none")
    return flow / 2, (inside * weight).sum() / total


def run(net, images):
    """Output [3, height, width] for float32 [channels, height, width] of any size; zeros added at the far edges."""
    multiple = net.multiple_px
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (0, -height % multiple), (0, -width % multiple)))
    with torch.no_grad():
        y = net(torch.from_numpy(padded)[None].to(memory_format=torch.channels_last))[0].numpy()
    return np.ascontiguousarray(y[:, :height, :width])


def validate(net, fields):
    """F1 at an IoU of 0.5 on generated fields of seeds of their own, with all channels and with the mean image alone."""
    net.eval()
    scores = {"all": Score(), "still": Score()}
    for sample in fields:
        for mode, score in scores.items():
            images = sample.images.astype(np.float32)
            if mode == "still":
                images[1:] = 0
            y = run(net, images)
            labels = generator.rated(sample.labels, sample.seen, sample.fires, True, mode == "all").astype(np.int32)
            found = masks.build_masks(y[:2], y[2])
            score.add(masks.renumber(np.maximum(labels, 0)), found, labels < 0)
    return {mode: score.row() for mode, score in scores.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder of the run")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps instead (the same result on any machine)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pool", default="/tmp/somata_pool", help="folder where generated fields are kept")
    parser.add_argument("--real", default="", help="folder with dsb2018_nuclei and stardist_nuclei")
    parser.add_argument("--widths", default="4,12,24,48,96")
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--start", default="", help="checkpoint whose weights to start from")
    parser.add_argument("--steps-a-field", type=float, default=3.0)
    parser.add_argument("--first-fields", type=int, default=48, help="fields made before the first step")
    parser.add_argument("--pixels", type=int, default=98304, help="pixels in a batch")
    parser.add_argument("--bfloat16", action="store_true", help="run forward and backward in bfloat16")
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "arguments.json").write_text(json.dumps(vars(arguments), indent=1))

    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    widths = [int(w) for w in arguments.widths.split(",")]
    net = CPnet(widths)
    if arguments.start:
        net.load_state_dict(torch.load(arguments.start, weights_only=True)["state"])
    net = net.to(memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    decayed = [p for p in net.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in net.parameters() if p.requires_grad and p.ndim == 1]
    optimiser = torch.optim.AdamW([dict(params=decayed, weight_decay=1e-3), dict(params=others, weight_decay=0)], arguments.rate, betas=(0.9, 0.98))

    pool = samples.Pool(arguments.pool, arguments.seed)
    held_out = samples.Pool(arguments.pool, VALIDATION_SEED)
    real_pool = samples.real_samples(arguments.real, np.random.default_rng(arguments.seed)) if arguments.real else []
    while len(pool.samples) < arguments.first_fields or (pool.ready() and len(pool.samples) < 6000):
        pool.grow()
    for _ in range(VALIDATION_FIELDS):
        held_out.grow()

    begun, best, step, recent, checked = time.time(), -1.0, 0, [], time.time()
    print(f"{sum(p.numel() for p in net.parameters())} parameters, {len(pool.samples)} fields, {len(real_pool)} real images", flush=True)
    while True:
        done = step / arguments.steps if arguments.steps else (time.time() - begun) / (60 * arguments.minutes)
        if done < 0.97 and step >= arguments.steps_a_field * (len(pool.samples) - arguments.first_fields) and len(pool.samples) < 6000:
            pool.grow()
        rate = arguments.rate * min(1.0, (step + 1) / 150) * (0.01 + 0.99 * (0.5 + 0.5 * np.cos(np.pi * min(done, 1.0))))
        for group in optimiser.param_groups:
            group["lr"] = rate
        images, target, weight = (torch.from_numpy(a) for a in samples.batch(rng, pool.samples, real_pool, arguments.pixels))
        net.train()
        # bfloat16 halves the time on processors that have it; the weights and the loss stay float32.
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            output = net(images.to(memory_format=torch.channels_last))
        flow, inside = loss_of(output.float(), target, weight)
        optimiser.zero_grad(set_to_none=True)
        (flow + inside).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        step += 1
        recent.append((flow.item(), inside.item()))
        # Average over the last steps, longer as training goes on; the batch-norm statistics with it.
        keep = min(0.999, 1 - 1 / (1 + step / 8))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), net.state_dict().values()):
                if a.is_floating_point():
                    a.lerp_(b, 1 - keep)
        end = done >= 1.0
        if end or time.time() - checked > 60 * min(12, max(4, arguments.minutes / 12)):
            scores = validate(average, held_out.samples[:VALIDATION_FIELDS])
            goal = scores["all"]["f1"] * 0.6 + scores["still"]["f1"] * 0.4 + 0.2 * scores["all"]["iou"]
            state = dict(state={k: v.clone(memory_format=torch.contiguous_format) for k, v in average.state_dict().items()}, widths=widths,
                         scores=scores, seed=arguments.seed, step=step, minutes=(time.time() - begun) / 60)
            torch.save(state, out / "last.pt")
            if goal > best:
                best = goal
                torch.save(state, out / "best.pt")
            loss = np.mean(recent, 0)
            line = dict(step=step, minutes=round((time.time() - begun) / 60, 1), fields=len(pool.samples), rate=rate, flow=round(float(loss[0]), 4),
                        inside=round(float(loss[1]), 4), goal=round(goal, 4), **scores)
            with open(out / "log.jsonl", "a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
            recent, checked = [], time.time()
        if end:
            break


if __name__ == "__main__":
    main()
