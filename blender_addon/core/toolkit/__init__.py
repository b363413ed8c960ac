# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the toolkit that run beside Blender, and what they leave in a folder."""
