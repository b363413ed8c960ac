# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators, panels, menus and preferences."""
