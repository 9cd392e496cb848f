"""A Cellpose 2 or 3 checkpoint (CPnet, a PyTorch file) to a weights file for `somata segment --weights`.

usage: convert.py CHECKPOINT OUT.safetensors [--half] [--licence TEXT]

Cellpose's published models have terms of their own; converting a file does not change them. The diameter is the checkpoint's `diam_mean`, the
tile is Cellpose's 224.
"""
import argparse
import sys

import torch

import weights


def convert(checkpoint, out, half=False, licence="unknown"):
    """Returns the widths. Raises ValueError where the file is no CPnet checkpoint."""
    try:
        # Only tensors are read: a checkpoint is a pickle, and a pickle could run code.
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"`{checkpoint}` does not exist") from None
    except Exception as error:
        raise ValueError(f"`{checkpoint}` is no PyTorch file of tensors alone ({str(error).splitlines()[0]})") from None
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(f"`{checkpoint}` holds no state dictionary")
    if any(name.startswith("module.") for name in state):  # saved from several graphics cards
        state = {name.removeprefix("module."): v for name, v in state.items()}
    widths = weights.widths_of(state)
    # Files of Cellpose 1 have no diameter; 30 px was its only one.
    diameter_px = float(state["diam_mean"][0]) if "diam_mean" in state else 30.0
    weights.write(out, state, dict(input="cellpose", diameter_px=f"{diameter_px:g}", licence=licence, recipe="converted from a Cellpose checkpoint"), half)
    return widths


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--half", action="store_true", help="float16: half the size")
    parser.add_argument("--licence", default="unknown", help="the checkpoint's terms, kept in the file")
    arguments = parser.parse_args()
    try:
        widths = convert(arguments.checkpoint, arguments.out, arguments.half, arguments.licence)
    except ValueError as error:
        sys.exit(f"error: {error}\n\nhint: give the file that Cellpose 2 or 3 saved, for example from ~/.cellpose/models")
    print(f"{arguments.out}: widths {widths}")


if __name__ == "__main__":
    main()
