"""The Blender extension from outside: packing its folder, checking the archive, finding Blenders and driving them.

The extension itself (``blender_addon/``, GPL-3.0-or-later) is a program of its own. It shares only the parsers of
``hgs_toolkit/parsing`` with the toolkit, which the packed extension carries as a copy: here its files are data. Nothing
here imports ``bpy``.
"""

from hgs_toolkit.blender.checking import check_archive, find_checker
from hgs_toolkit.blender.extension import check_manifest, extension_folder, package, read_manifest
from hgs_toolkit.blender.programs import Blender, find_blender, find_blenders, install, open_in, write_assets

__all__ = [
    "Blender",
    "check_archive",
    "check_manifest",
    "extension_folder",
    "find_blender",
    "find_blenders",
    "find_checker",
    "install",
    "open_in",
    "package",
    "read_manifest",
    "write_assets",
]
