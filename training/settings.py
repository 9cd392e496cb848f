"""What a generated field is made from, and how that is drawn."""
import dataclasses

import numpy as np


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng, probability):
    return rng.random() < probability


@dataclasses.dataclass
class Settings:
    """What a field is made from. Lengths in px, times in bins, brightness relative to the neuropil's mean."""

    size_px: int
    bins: int
    photons: float  # per pixel and bin, where brightness is 1
    diameter_px: float
    diameter_spread: float  # standard deviation of log diameter
    second_size: float  # relative diameter of a second population of cells, 1 for none
    cover: float  # summed area of the bodies over the area of the field
    spacing: float  # least distance of two centres in diameters
    clustering: float  # 0: uniform; larger: cells crowd in places
    ring_fraction: float  # of the cells that have a dark nucleus
    occlusion: float  # how far a body replaces the neuropil behind it
    brightness: float  # median of the cells' baseline
    brightness_spread: float  # standard deviation of its logarithm
    hidden_fraction: float  # of the cells without baseline brightness
    active_fraction: float
    amplitude: float  # median transient of one event
    event_rate: float  # per bin
    bursts: float  # 0: Poisson; 1: nearly all events in bursts
    decay_bins: float
    grains: tuple  # (scale in px, contrast) of the neuropil's textures
    shading: float
    vessels: int
    dark_bodies: float  # cover of dark bodies that are no cells
    processes: float  # long processes for every 100 x 100 px
    blobs: float  # short active processes for every 100 x 100 px
    puncta: float  # for every 100 x 100 px
    defocused: float  # cover of the cells out of focus
    neuropil_activity: float
    blur_px: float  # of everything: optics and motion within a bin
    jitter_px: float  # residual motion from bin to bin
    jitter_bands: int  # 1: whole frame; more: differs along the rows
    bleaching: float
    flicker: float
    read_noise: float  # in the unit of brightness, a bin
    noise_correlation: tuple  # along y and x, 0 .. 0.25: what resampling and a slow detector leave between neighbouring pixels
    line_noise: float  # in noise standard deviations
    noise_error: float  # estimated over true noise
    missing_edge_px: int
    never_measured_px: int


def draw_settings(rng):
    """Settings of one field."""
    bins = int(log_uniform(rng, 60, 3000))
    empty, crowded = chance(rng, 0.05), chance(rng, 0.18)
    grains = [(log_uniform(rng, low, high), log_uniform(rng, 0.02, top) if chance(rng, p) else 0.0)
              for low, high, top, p in ((0.6, 1.6, 0.45, 0.9), (1.6, 4.0, 0.25, 0.6), (4.0, 10.0, 0.2, 0.6))]
    return Settings(
        size_px=128 if bins > 1200 else int(rng.choice([128, 160, 192, 224])),
        bins=bins,
        photons=log_uniform(rng, 4, 600),
        diameter_px=log_uniform(rng, 7, 21),
        diameter_spread=rng.uniform(0.03, 0.16),
        second_size=rng.uniform(0.55, 1.6) if chance(rng, 0.25) else 1.0,
        cover=0.0 if empty else rng.uniform(0.3, 0.6) if crowded else log_uniform(rng, 0.02, 0.35),
        spacing=rng.uniform(0.5, 0.85) if crowded else rng.uniform(0.6, 1.1),
        clustering=rng.uniform(0.3, 2.0) if chance(rng, 0.35) else 0.0,
        ring_fraction=float(rng.choice([0.0, 0.5, 1.0, rng.random()], p=[0.15, 0.15, 0.35, 0.35])),
        occlusion=0.0 if chance(rng, 0.35) else rng.uniform(0.1, 1.0),
        brightness=log_uniform(rng, 0.25, 4.0),
        brightness_spread=rng.uniform(0.2, 0.8),
        hidden_fraction=rng.uniform(0, 0.3),
        active_fraction=rng.uniform(0.5, 1.0) if chance(rng, 0.8) else rng.uniform(0, 0.3),
        amplitude=log_uniform(rng, 0.15, 3.0),
        event_rate=log_uniform(rng, 0.003, 0.3),
        bursts=rng.random() if chance(rng, 0.6) else 0.0,
        decay_bins=log_uniform(rng, 0.6, 8),
        grains=tuple(grains),
        shading=rng.uniform(0, 0.8),
        vessels=int(rng.choice([0, 0, 1, 2, 4, 6])),
        dark_bodies=log_uniform(rng, 0.01, 0.15) if chance(rng, 0.5) else 0.0,
        processes=log_uniform(rng, 0.3, 8) if chance(rng, 0.6) else 0.0,
        blobs=log_uniform(rng, 0.5, 12) if chance(rng, 0.7) else 0.0,
        puncta=log_uniform(rng, 0.5, 20) if chance(rng, 0.5) else 0.0,
        defocused=log_uniform(rng, 0.02, 0.3) if chance(rng, 0.6) else 0.0,
        neuropil_activity=log_uniform(rng, 0.01, 0.35),
        blur_px=rng.uniform(0.25, 1.3),
        jitter_px=log_uniform(rng, 0.01, 0.3) if chance(rng, 0.6) else 0.0,
        jitter_bands=int(rng.choice([1, 3, 6])),
        bleaching=rng.uniform(0, 0.35) if chance(rng, 0.4) else 0.0,
        flicker=log_uniform(rng, 0.001, 0.03),
        read_noise=rng.uniform(0, 0.15),
        noise_correlation=(rng.uniform(0, 0.17), rng.uniform(0, 0.17) if chance(rng, 0.7) else rng.uniform(0.1, 0.25)),
        line_noise=rng.uniform(0, 0.25) if chance(rng, 0.2) else 0.0,
        noise_error=float(np.exp(rng.normal(0, 0.12))),
        missing_edge_px=int(rng.integers(1, 10)) if chance(rng, 0.35) else 0,
        never_measured_px=int(rng.integers(1, 8)) if chance(rng, 0.1) else 0,
    )
