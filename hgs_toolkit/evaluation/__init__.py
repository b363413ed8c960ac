"""Honest numbers about a model: every one is stored with all that it depends on."""

from hgs_toolkit.evaluation.figures import Figure, Report
from hgs_toolkit.evaluation.run import evaluate
from hgs_toolkit.evaluation.settings import METRICS, EvalSettings

__all__ = ["METRICS", "EvalSettings", "Figure", "Report", "evaluate"]
