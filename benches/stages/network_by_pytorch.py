"""The network of `network.rs` by PyTorch: Cellpose's CPnet with the widths of the program's own weights, on nine tiles.

usage: network_by_pytorch.py [THREADS]
Needs torch and cellpose 3.1.1.2. The network alone: cutting tiles and putting them together is not timed. Weights are random;
the time does not depend on them.
"""
import sys, time
import torch
from cellpose.resnet_torch import CPnet

WIDTHS, TILES, SIDE = [4, 12, 24, 48, 96], 9, 224
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
network = CPnet(WIDTHS, 3, 3).eval()

operations = 0


def count(module, inputs, output):
    global operations
    kernel = module.kernel_size[0] * module.kernel_size[1]
    operations += 2 * module.in_channels * kernel * output.numel()


hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
tiles = torch.rand(TILES, WIDTHS[0], SIDE, SIDE)
with torch.inference_mode():
    network(tiles)
    for hook in hooks:
        hook.remove()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {operations / 1e9:.2f} GFLOP")
    for together in (1, TILES):
        seconds = []
        for _ in range(10):
            start = time.perf_counter()
            for group in tiles.split(together):
                network(group)
            seconds.append(time.perf_counter() - start)
        best, middle = min(seconds), sorted(seconds)[5]
        print(f"{together} tiles at once: median {middle:.3f} s, {operations / middle / 1e9:.1f} GFLOP/s; best {best:.3f} s")
