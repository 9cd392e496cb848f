"""Weights files: safetensors under Cellpose's names, with a few strings about what they are for."""
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from network import CPnet

FORMAT = "somata-cpnet-1"
TILE_PX = 224


def widths_of(state):
    """[input channels, widths of the levels] of a state dictionary.

    Raises ValueError where the names or shapes are not those of this architecture.
    """
    levels = 0
    while f"downsample.down.res_down_{levels}.proj.1.weight" in state:
        levels += 1
    if levels == 0:
        raise ValueError("this is no CPnet: it has no parameter `downsample.down.res_down_0.proj.1.weight` (Cellpose 4 and its SAM models are another network)")
    shapes = [state[f"downsample.down.res_down_{n}.proj.1.weight"].shape for n in range(levels)]
    widths = [int(shapes[0][1])] + [int(shape[0]) for shape in shapes]
    wanted = {k: v.shape for k, v in CPnet(widths).state_dict().items() if not k.endswith("num_batches_tracked") and not k.startswith("diam_")}
    for name, shape in wanted.items():
        if name not in state or state[name].shape != shape:
            found = "is missing" if name not in state else f"has the shape {tuple(state[name].shape)}"
            raise ValueError(f"this is no CPnet of widths {widths}: parameter `{name}` {found}, {tuple(shape)} was expected")
    return widths


def write(path, state, metadata, half=True):
    """Write the float parameters of `state` (float16 or float32). Counters of batches are left out: nobody needs them to run a network.

    Raises ValueError where a value is not finite, or too large for float16.
    """
    kind = torch.float16 if half else torch.float32
    tensors = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        tensors[name] = tensor.detach().to(kind).contiguous().clone()
        if not torch.isfinite(tensors[name]).all():
            raise ValueError(f"parameter `{name}` has values that are not finite{' as float16; write float32 instead' if half else ''}")
    save_file(tensors, str(path), metadata={k: str(v) for k, v in dict(format=FORMAT, tile=TILE_PX, **metadata).items()})


def read(path):
    """The network of a weights file, ready to run, and its metadata."""
    with safe_open(str(path), "pt") as file:
        state, metadata = {name: file.get_tensor(name).float() for name in file.keys()}, file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise ValueError(f"`{path}` is no somata weights file: its format is `{metadata.get('format')}`, not `{FORMAT}`")
    net = CPnet(widths_of(state))
    net.load_state_dict(state, strict=False)
    return net.eval().to(memory_format=torch.channels_last), metadata


def run_tiled(net, images, tile_px=TILE_PX, overlap=0.1):
    """The network over an image of any size, as Cellpose tiles it: float32 [channels, height, width] to [3, height, width].

    Padded with zeros to a multiple of 16 plus 8 px on every side, cut into overlapping tiles, blended with sigmoid tapers.
    """
    channels, height, width = images.shape
    pads = []
    for n in (height, width):
        extra = -n % 16
        pads.append((8 + extra // 2, 8 + extra - extra // 2))
    padded = np.pad(images, ((0, 0), *pads))
    sizes = padded.shape[1:]
    starts = []
    for n in sizes:
        count = 1 if n <= tile_px else int(np.ceil((1 + 2 * overlap) * n / tile_px))
        starts.append(np.linspace(0, n - min(n, tile_px), count).astype(int))
    tile = [min(n, tile_px) for n in sizes]
    # The taper of a full tile, cut to the middle of a smaller one.
    ramp = 1 / (1 + np.exp((np.abs(np.arange(tile_px) - (tile_px - 1) / 2) - (tile_px / 2 - 20)) / 7.5))
    taper = [ramp[tile_px // 2 - n // 2 : tile_px // 2 + n // 2 + n % 2] for n in tile]
    blend = (taper[0][:, None] * taper[1][None]).astype(np.float32)
    total, weight = np.zeros((3, *sizes), np.float32), np.zeros(sizes, np.float32)
    for y in starts[0]:
        for x in starts[1]:
            box = (slice(None), slice(y, y + tile[0]), slice(x, x + tile[1]))
            with torch.no_grad():
                out = net(torch.from_numpy(np.ascontiguousarray(padded[box]))[None].to(memory_format=torch.channels_last))[0].numpy()
            total[box] += out * blend
            weight[box[1:]] += blend
    total /= weight
    return np.ascontiguousarray(total[:, pads[0][0] : pads[0][0] + height, pads[1][0] : pads[1][0] + width])
