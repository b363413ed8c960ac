# SPDX-License-Identifier: Apache-2.0
"""Parsers of splat files that the toolkit and the Blender extension share.

A parser turns bytes into NumPy arrays of stored values and knows nothing else: no frame of the scene, no tensor, no
message with a file's name. It imports the standard library, NumPy and, by relative imports, its neighbours, because the
packed extension holds this folder as ``core/parsing``, where there is no toolkit.
"""
