"""The U-Net of Cellpose 2 and 3 ("CPnet"), for any widths and any number of input channels.

A pre-activation residual network: each unit is batch norm, ReLU, convolution. The way down halves the resolution between levels by a
2x2 maximum; the way up doubles it by repeating pixels and ADDS the features of the same level (no concatenation). The mean of the deepest
features over the image, scaled to unit length, is the "style"; a linear map of it is added before three of the four units of each block
on the way up.

The layers and the names of their parameters are those of Cellpose 3's `resnet_torch.CPnet` (BSD-3; Stringer et al., Nature Methods 2021),
so that a weights file means the same here, there and in somata's Rust network. `tests/test_network.py` holds the two against each other.

Input: float32 [images, channels, height, width], height and width multiples of 2**(levels - 1).
Output: float32 [images, 3, height, width]: flow along y and flow along x (unit vectors towards the cell's centre, times 5), and the logit
of being part of a cell.
"""
import torch
from torch import nn

# One value for every layer, as in Cellpose: it is part of what a weights file means.
BATCH_NORM_EPSILON = 1e-5
BATCH_NORM_MOMENTUM = 0.05


def unit(channels_in, channels_out, kernel, activate=True):
    """Batch norm, ReLU (not for projections), convolution."""
    layers = [nn.BatchNorm2d(channels_in, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)]
    if activate:
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2))
    return nn.Sequential(*layers)


class StyleUnit(nn.Module):
    """A unit whose input first gets a bias for each channel, computed from the style."""

    def __init__(self, channels_in, channels_out, style_channels):
        super().__init__()
        self.conv = unit(channels_in, channels_out, 3)
        self.full = nn.Linear(style_channels, channels_out)

    def forward(self, x, style):
        return self.conv(x + self.full(style)[:, :, None, None])


class DownBlock(nn.Module):
    """Four units with two residual additions; the first addition is to a 1x1 projection of the input."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.conv = nn.Sequential()
        for t in range(4):
            self.conv.add_module(f"conv_{t}", unit(channels_in if t == 0 else channels_out, channels_out, 3))
        self.proj = unit(channels_in, channels_out, 1, activate=False)

    def forward(self, x):
        x = self.proj(x) + self.conv[1](self.conv[0](x))
        return x + self.conv[3](self.conv[2](x))


class UpBlock(nn.Module):
    """As `DownBlock`, with the features of the way down added after the first unit and the style in the other three."""

    def __init__(self, channels_in, channels_out, style_channels):
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv_0", unit(channels_in, channels_out, 3))
        for t in range(1, 4):
            self.conv.add_module(f"conv_{t}", StyleUnit(channels_out, channels_out, style_channels))
        self.proj = unit(channels_in, channels_out, 1, activate=False)

    def forward(self, x, skip, style):
        x = self.proj(x) + self.conv[1](self.conv[0](x) + skip, style)
        return x + self.conv[3](self.conv[2](x, style), style)


class Downsample(nn.Module):
    """The way down: a list of the features of every level."""

    def __init__(self, widths):
        super().__init__()
        self.down = nn.Sequential()
        for n in range(len(widths) - 1):
            self.down.add_module(f"res_down_{n}", DownBlock(widths[n], widths[n + 1]))

    def forward(self, x):
        features = []
        for n, block in enumerate(self.down):
            features.append(block(x if n == 0 else nn.functional.max_pool2d(features[-1], 2)))
        return features


class Upsample(nn.Module):
    """The way up."""

    def __init__(self, widths):
        super().__init__()
        self.up = nn.Sequential()
        for n in range(1, len(widths)):
            self.up.add_module(f"res_up_{n - 1}", UpBlock(widths[n], widths[n - 1], widths[-1]))

    def forward(self, style, features):
        x = self.up[-1](features[-1], features[-1], style)
        for n in range(len(self.up) - 2, -1, -1):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[n](x, features[n], style)
        return x


class CPnet(nn.Module):
    """The whole network. `widths` is [input channels, width of level 0, width of level 1, ...], as Cellpose's `nbase`."""

    def __init__(self, widths, outputs=3, diameter_px=12.0):
        super().__init__()
        widths = list(widths)
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"a network needs its input channels and at least one level's width, not {widths}")
        self.widths, self.outputs = widths, outputs
        self.downsample = Downsample(widths)
        self.upsample = Upsample(widths[1:] + widths[-1:])
        self.output = unit(widths[1], outputs, 1)
        # Buffers of Cellpose's files: the diameter that images are scaled to, and the one of the training labels.
        self.diam_mean = nn.Parameter(torch.ones(1) * diameter_px, requires_grad=False)
        self.diam_labels = nn.Parameter(torch.ones(1) * diameter_px, requires_grad=False)

    @property
    def multiple_px(self):
        """Height and width of the input must be multiples of this."""
        return 2 ** (len(self.widths) - 2)

    def forward(self, x):
        features = self.downsample(x)
        style = features[-1].mean((2, 3))
        style = style / style.square().sum(1, keepdim=True).sqrt()
        return self.output(self.upsample(style, features))


def kilo_multiplications_per_pixel(widths):
    """Multiply-adds of the convolutions for one pixel of the image, in thousands (styles not counted)."""
    total, up = 0.0, list(widths[1:]) + [widths[-1]]
    for n in range(len(widths) - 1):
        i, o = widths[n], widths[n + 1]
        total += (9 * (i * o + 3 * o * o) + i * o) / 4**n
        i, o = up[n + 1], up[n]
        total += (9 * (i * o + 3 * o * o) + i * o) / 4**n
    return (total + 3 * widths[1]) / 1000
