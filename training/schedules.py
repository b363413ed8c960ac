"""Values that move over a run, as functions of what was shown so far."""

from __future__ import annotations

from hgs_toolkit.config import TrainingConfig


def progress(kimg: float, length: float) -> float:
    """Share, 0 to 1, of a change of ``length`` kimg that is over after ``kimg``; all of it where it has no length."""
    return min(kimg / length, 1.0) if length > 0 else 1.0


def gamma_factor(training: TrainingConfig, kimg: float) -> float:
    """Factor of both gammas: moves geometrically from 1 to ``gamma_final``."""
    if training.gamma_final is None:
        return 1.0
    return float(training.gamma_final ** progress(kimg, training.gamma_kimg))


def rate_factor(training: TrainingConfig, step: int) -> float:
    """Factor of both learning rates: the warm-up's, times a geometric move from 1 to ``rate_final``."""
    factor = min((step + 1) / max(training.warmup_steps, 1), 1.0)
    if training.rate_final is not None:
        begin, length = training.rate_start_kimg, training.rate_kimg
        length = max(training.kimg - begin, 1e-9) if length is None else length
        share = (step * training.batch / 1000 - begin) / length
        factor *= training.rate_final ** min(max(share, 0.0), 1.0)
    return float(factor)
