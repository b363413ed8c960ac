# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in panels: a label that is too long loses its middle, so they are broken into lines."""

from __future__ import annotations

import textwrap
from typing import Literal

from bpy.types import Context, UILayout

from ..typed import present

Icon = Literal["NONE", "CHECKMARK", "ERROR", "INFO"]

LETTER = 7.0
"""Width of a letter of Blender's interface, pixels at a resolution scale of 1; rather too wide than too narrow."""

EDGES = 90.0
"""Width of what stands beside a text in the sidebar: margins, the icon, the tabs."""

SIDEBAR = 290.0
"""Width of a new sidebar, where there is no region to measure."""

LEAST = 12
"""Letters in a line, however narrow the sidebar is."""


def paragraph(layout: UILayout, context: Context, text: str, icon: Icon = "NONE") -> None:
    """Put ``text`` into a panel, on as many lines as the region needs; the icon stands before the first."""
    scale = present(context.preferences).system.ui_scale
    width = SIDEBAR if context.region is None else context.region.width / scale
    column = layout.column(align=True)
    column.scale_y = 0.8  # closer together than buttons
    for number, line in enumerate(textwrap.wrap(text, max(LEAST, int((width - EDGES) / LETTER)))):
        column.label(text=line, icon="BLANK1" if number and icon != "NONE" else icon)
