"""Batch dataset synthesis: one model, one plan, any number of workers, always the same bytes.

The names below are imported when they are first used, so that the table of annotations can be read without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hgs_toolkit.synthesis.checking import CheckReport as CheckReport
    from hgs_toolkit.synthesis.checking import check as check
    from hgs_toolkit.synthesis.checking import forget as forget
    from hgs_toolkit.synthesis.merging import merge as merge
    from hgs_toolkit.synthesis.parts import Part as Part
    from hgs_toolkit.synthesis.parts import choose_part as choose_part
    from hgs_toolkit.synthesis.run import Outcome as Outcome
    from hgs_toolkit.synthesis.run import Workforce as Workforce
    from hgs_toolkit.synthesis.run import synthesize_dataset as synthesize_dataset
    from hgs_toolkit.synthesis.settings import SynthSettings as SynthSettings
    from hgs_toolkit.synthesis.settings import pose_values as pose_values

_HOMES = {
    "checking": ("CheckReport", "check", "forget"),
    "merging": ("merge",),
    "parts": ("Part", "choose_part"),
    "run": ("Outcome", "Workforce", "synthesize_dataset"),
    "settings": ("SynthSettings", "pose_values"),
}
"""Module of this package where each public name lives; the imports above say the same to type checkers."""

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
