# SPDX-License-Identifier: GPL-3.0-or-later
"""Node groups, materials and modifiers, all built in Python."""
