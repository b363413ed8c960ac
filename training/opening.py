"""The opening of a run: what only a network that knows nothing needs."""

from __future__ import annotations

from dataclasses import replace

from hgs_toolkit.config import TrainingConfig

OPENING = ("blur_sigma", "pose_swap_kimg", "background_kimg", "ema_rampup")
"""Settings of training that only a network needs that knows nothing."""


def after_the_opening(training: TrainingConfig) -> TrainingConfig:
    """``training`` without what only a network that knows nothing needs.

    Trained networks would be thrown back by blurred images, swapped poses or a missing background, and their average
    would be forgotten in the first steps, while its half-life is still short.
    """
    gamma = 1.0 if training.gamma_final is None else training.gamma_final
    return replace(
        training,
        blur_sigma=0.0, pose_swap_kimg=0.0, background_kimg=0.0, ema_rampup=None,
        r1_gamma=training.r1_gamma * gamma, r2_gamma=training.r2_gamma * gamma,
        feature_gamma=training.feature_gamma * gamma, gamma_final=None,
    )  # fmt: skip
