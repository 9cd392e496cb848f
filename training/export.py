"""Checkpoint of train.py to a weights file.

usage: export.py RUN/best.pt ../engine/weights/somata_cpnet.safetensors [--scores scores.json]
"""
import argparse
import json
import pathlib

import torch

import weights

# Median diameter of the bodies that the network was trained on; images are best brought to it, 8 to 20 px work.
DIAMETER_PX = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--scores", default="", help="JSON of evaluate.py to keep with the weights")
    arguments = parser.parse_args()
    checkpoint = torch.load(arguments.checkpoint, weights_only=True)
    scores = json.loads(pathlib.Path(arguments.scores).read_text()) if arguments.scores else {}
    scores["validation"] = checkpoint["scores"]
    state = checkpoint["state"]
    state["diam_mean"].fill_(DIAMETER_PX)
    state["diam_labels"].fill_(DIAMETER_PX)
    out = pathlib.Path(arguments.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    weights.write(out, state, dict(input="summary", diameter_px=DIAMETER_PX, licence="MIT OR Apache-2.0", recipe="training/README.md", seed=checkpoint["seed"],
                                   steps=checkpoint["step"], scores=json.dumps(scores, separators=(",", ":"))))
    net, _ = weights.read(out)
    print(f"{out}: widths {net.widths}, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
