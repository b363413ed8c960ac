# SPDX-License-Identifier: GPL-3.0-or-later
"""The exact render engine: the toolkit's own images inside Blender."""
