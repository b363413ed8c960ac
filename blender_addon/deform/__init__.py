# SPDX-License-Identifier: GPL-3.0-or-later
"""Deformation: lattices, curves, armatures and meshes move Gaussians and turn and stretch them with their places."""
