"""The picture of docs/mesh.md: splats of a model beside their meshes, whole and cut open.

    python tools/picture_meshes.py OUT.png [--model MODEL] [--seeds 0-2] [--size 192] [--resolution 256]

Columns: the splat; the surface with its colours; the surface; the surface cut in the middle; the shell; the shell cut.
Cut meshes show their insides, faces seen from behind, in red.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

import hgs_toolkit as hgs
from hgs_toolkit.cameras import Cameras
from hgs_toolkit.exporters.meshes.color import vertex_colors
from hgs_toolkit.imaging.images import grid, save_png
from hgs_toolkit.imaging.scene_images import ImageSettings, draw_images

CLAY, INSIDE = np.array([0.78, 0.78, 0.76]), np.array([0.80, 0.25, 0.20])
LAMP = np.array([0.4, 0.7, 0.6])


def draw(
    mesh: trimesh.Trimesh, camera: Cameras, size: int, *, colored: bool = False, cut: bool = False
) -> torch.Tensor:
    """(H, W, 3) of a mesh over white; ``cut`` leaves the half that is nearer to the camera away."""
    matrix = camera.cam_to_world.reshape(4, 4).double().numpy()
    K = camera.pixel_intrinsics(size, size).reshape(3, 3).double().numpy()
    column, row = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1], np.ones_like(row)], -1).reshape(-1, 3)
    start = np.linalg.norm(matrix[:3, 3]) if cut else 0.0
    directions = rays @ matrix[:3, :3].T
    origins = matrix[:3, 3] + start * directions
    where, ray, face = mesh.ray.intersects_location(origins, directions, multiple_hits=False)
    image = np.ones((size * size, 3))
    image[ray] = shade(mesh, where, face, directions[ray], colored)
    return torch.from_numpy(image.reshape(size, size, 3)).float()


def shade(
    mesh: trimesh.Trimesh, where: NDArray[np.float64], face: NDArray[np.int64], ray: NDArray[np.float64], colored: bool
) -> NDArray[np.float64]:
    """Colours (M, 3) of the points ``where`` of faces."""
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], where)
    corners = mesh.faces[face]
    colors = vertex_colors(mesh)
    if colored and colors is not None:
        return np.asarray(np.einsum("mk,mki->mi", weights, colors[corners] / 255.0).clip(0, 1))
    normal = np.einsum("mk,mki->mi", weights, mesh.vertex_normals[corners])
    behind = (mesh.face_normals[face] * ray).sum(axis=1) > 0
    light = 0.35 + 0.65 * np.abs(normal @ (LAMP / np.linalg.norm(LAMP)))[:, None]
    return np.asarray(np.where(behind[:, None], INSIDE, CLAY) * light)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", help="model file, run folder or name; by default the model that ships")
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--resolution", type=int, default=256)
    options = parser.parse_args()
    model = hgs.load_model(options.model, "cpu")
    focal, radius = model.config.focal, model.config.poses.radius
    camera = hgs.from_yaw_pitch(torch.tensor([0.6]), torch.tensor([0.25]), radius, focal)
    cells = []
    for seed in hgs.parse_seeds(options.seeds):
        scene = hgs.sample(model, [seed])
        surface = hgs.mesh(scene, resolution=options.resolution)
        shell = hgs.mesh(scene, "shell", resolution=options.resolution, keep="all")
        foreground = scene.levels(range(scene.num_levels), background=False)
        cells += [next(iter(draw_images(foreground, camera, ImageSettings(options.size)))).cpu()]
        cells += [draw(surface, camera, options.size, colored=True), draw(surface, camera, options.size)]
        cells += [draw(surface, camera, options.size, cut=True)]
        cells += [draw(shell, camera, options.size, cut=cut) for cut in (False, True)]
    save_png(options.out, grid(torch.stack(cells), columns=6))


if __name__ == "__main__":
    main()
