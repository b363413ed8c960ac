"""Directions in the space of styles that matter: principal components of w, for sliders."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hgs_toolkit.devices import device_of
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.sampling import class_vectors

SAMPLES = 1024
"""Style vectors whose components are taken."""


@torch.no_grad()
def principal_directions(model: Generator, count: int) -> Tensor:
    """The ``count`` directions (count, w_dim) along which w varies most within a class, each one deviation long.

    From a fixed set of latents, so that a model always has the same ones; the sign is that of the largest entry.
    """
    z = torch.from_numpy(np.random.RandomState(0).randn(SAMPLES, model.config.z_dim).astype(np.float32))
    told = class_vectors(model.config, range(SAMPLES))
    classes = None if told is None else told.to(device_of(model))
    w = model.map(z.to(device_of(model)), classes=classes)  # (SAMPLES, w_dim)
    if classes is not None:  # what is left without the difference between the classes
        w = w - model.mapping.centers(classes)
    _, lengths, directions = torch.linalg.svd(w - w.mean(0), full_matrices=False)
    directions = directions[:count]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    scaled: Tensor = directions * largest.sign() * (lengths[:count, None] / SAMPLES**0.5)
    return scaled
