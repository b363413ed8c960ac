"""Batch dataset synthesis: one model, one plan, any number of workers, always the same bytes."""

from hgs_toolkit.synthesis.check import CheckReport, check, forget
from hgs_toolkit.synthesis.merge import merge
from hgs_toolkit.synthesis.parts import Part, choose_part
from hgs_toolkit.synthesis.run import Outcome, Workforce, synthesize_dataset
from hgs_toolkit.synthesis.settings import SynthSettings, pose_values

__all__ = [
    "CheckReport",
    "Outcome",
    "Part",
    "SynthSettings",
    "Workforce",
    "check",
    "choose_part",
    "forget",
    "merge",
    "pose_values",
    "synthesize_dataset",
]
