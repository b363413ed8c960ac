# SPDX-License-Identifier: Apache-2.0
"""Parsers and packers of splat files that the toolkit and the Blender extension share.

A parser turns bytes into NumPy arrays of stored values, a packer does the reverse. Neither knows anything else: no
frame of the scene, no tensor, no message with a file's name. They import the standard library, NumPy and, by relative
imports, their neighbours, because the packed extension holds this folder as ``core/parsing``, where there is no
toolkit.
"""
