"""A whole life of the extension in one fresh Blender: ``lifecycle.py ARCHIVE SPLATS MODULE``; prints facts as JSON.

The arguments of ``hgs blender install`` go to the code behind ``blender --command extension`` itself.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import bpy

from hgs_toolkit.blender.programs import install_arguments

archive, splats, module = sys.argv[1:]
repository, identifier = module.split(".")[1:]
facts: dict[str, object] = {"user": bpy.utils.resource_path("USER")}


def is_enabled() -> bool:
    return module in bpy.context.preferences.addons


def is_installed() -> bool:
    return os.path.isdir(os.path.join(bpy.utils.user_resource("EXTENSIONS"), repository, identifier))


importlib.import_module("addon_utils").enable("bl_pkg")  # bpy puts it on the path
command = importlib.import_module("bl_pkg.bl_extension_cli").cli_extension_handler
words = install_arguments(Path(archive))
assert words[:2] == ["--command", "extension"]
facts["installed by"] = command(words[2:])
facts["installed"], facts["enabled"] = is_installed(), is_enabled()
facts["import"] = list(bpy.ops.hgs.import_splats(filepath=splats))
facts["gaussians"] = len(bpy.context.object.data.attributes["position"].data)
bpy.ops.preferences.addon_disable(module=module)
facts["enabled after disabling"] = is_enabled()
facts["left behind"] = [name for name in dir(bpy.types.Scene) + dir(bpy.types.Object) if name.startswith("hgs")]
facts["operators left"] = [name for name in dir(bpy.types) if name.startswith(("HGS_", "Hgs"))]
bpy.ops.preferences.addon_enable(module=module)
facts["enabled again"] = is_enabled() and hasattr(bpy.types.Scene, "hgs_seeds")
facts["removed by"] = command(["remove", identifier])
facts["installed after removing"], facts["enabled after removing"] = is_installed(), is_enabled()
print("\nFACTS" + json.dumps(facts))
