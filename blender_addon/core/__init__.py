# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension computes; nothing here imports bpy, so any Python can test it."""
