# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to splats after the import, all of it by modifiers: colour grade, clean-up, scatter."""
