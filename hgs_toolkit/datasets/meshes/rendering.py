"""Training sets from meshes: posed images with alpha, ray cast with embree."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hgs_toolkit.datasets.attribution import ATTRIBUTION, Credit, credits_to_json
from hgs_toolkit.datasets.classes import folder_names, top_folder
from hgs_toolkit.datasets.critters.raycast import Values
from hgs_toolkit.datasets.eg3d import VIEWS, OnProgress
from hgs_toolkit.datasets.images import Pixels, to_uint8
from hgs_toolkit.datasets.make import ClassesOf, check_request, make_dataset, make_in_parts
from hgs_toolkit.datasets.meshes.library import MeshFile
from hgs_toolkit.datasets.meshes.materials import Material
from hgs_toolkit.datasets.meshes.textured_mesh import TexturedMesh, load_textured_mesh
from hgs_toolkit.datasets.meshes.variation import Drawing, Variation
from hgs_toolkit.datasets.scene_prior import brightness, camera_prior, draw_camera, generator
from hgs_toolkit.errors import DataError, MissingExtraError
from hgs_toolkit.pose_prior import PosePrior

logger = logging.getLogger(__name__)

FRAME_FILL = 0.485
"""Radius of a mesh's bounding sphere in the image, as a share of the image's side."""

VIEWS_IN_A_ROW = 8
"""Number of consecutive images of the same mesh, so that each mesh is read once a round."""

DRAWING_KEY = 1 << 62
"""Offset of the random keys that vary the drawings."""

MAX_LAYERS = 8
"""Number of surfaces after which a ray through transparent ones ends."""

STEP = np.float32(1e-4)
"""Distance behind a transparent surface at which a ray continues, in radii of the bounding sphere."""

CACHE_BYTES = 1 << 29
"""Memory, bytes, of the meshes that a process keeps."""


@dataclass(frozen=True)
class MeshImages:
    """Images of the meshes: maps an index to an image of one of them and its camera label; see make.ImageMaker."""

    meshes: tuple[MeshFile, ...]
    resolution: int
    seed: int = 0
    poses: PosePrior = field(default_factory=camera_prior)
    up: str = "y"
    samples: int = 2
    views: int = 1
    variation: Variation = field(default_factory=Variation)

    def __call__(self, index: int) -> tuple[Pixels, Values]:
        """Pixels (H, W, 4) uint8 with straight alpha and the label (25,) of image ``index``."""
        label = draw_camera(self.poses, generator(self.seed, index))
        model, scene = _cached(self.mesh_of(index), self.up, texture_size(self.resolution))
        drawing = self.variation.draw(generator(self.seed, DRAWING_KEY + index // self.views))
        return render_model(model, label, self.resolution, self.samples, scene, drawing), label

    def mesh_of(self, index: int) -> MeshFile:
        """The mesh of image ``index``: in each round every mesh once, in an order drawn from the seed."""
        in_a_row = -(-VIEWS_IN_A_ROW // self.views) * self.views  # whole groups of views
        turn, place = divmod(index // in_a_row, len(self.meshes))
        return self.meshes[int(_order(self.seed, turn, len(self.meshes))[place])]

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of dataset.json: how the set was drawn, and whose models it shows."""
        return {
            VIEWS: self.views, "pose_prior": asdict(self.poses), "variation": asdict(self.variation),
            ATTRIBUTION: credits_to_json([mesh.credit or Credit(mesh.label) for mesh in self.meshes]),
        }  # fmt: skip


def render_meshes(
    meshes: Sequence[MeshFile], path: str | Path, count: int, resolution: int, *, seed: int = 0,
    poses: PosePrior | None = None, up: str = "y", views: int = 1, variation: Variation | None = None,
    workers: int = 1, force: bool = False, progress: OnProgress | None = None, classes: bool = False,
    parts: Path | None = None,
) -> None:  # fmt: skip
    """Write ``count`` posed images of ``meshes`` as an EG3D zip or folder; see make_dataset.

    ``views`` consecutive images show the same drawing of a model, and drawings differ within ``variation``. The models'
    authors and licences are written into dataset.json, with ``classes`` also the folder of each as its class. With a
    folder for ``parts`` an interrupted call can be repeated, see make_in_parts.

    Raises:
        MissingExtraError: if embreex is not installed.
        DataError: naming the model, if one cannot be read (``usable_meshes`` finds these beforehand), or if ``classes``
            are wanted and it lies in no folder.
    """
    _embree()
    check_request(resolution, seed)
    images = MeshImages(
        tuple(meshes), resolution, seed, poses or camera_prior(), up, views=views, variation=variation or Variation()
    )
    kinds = _folder_classes(images) if classes else None
    if parts is not None:
        make_in_parts(images, count, path, parts, workers=workers, progress=progress, facts=images.facts, classes=kinds)
    else:
        make_dataset(
            images, count, path, workers=workers, force=force, progress=progress, facts=images.facts, classes=kinds
        )


def _folder_classes(images: MeshImages) -> ClassesOf:
    """A class for each folder of meshes."""
    names = folder_names([mesh.place for mesh in images.meshes])
    return ClassesOf(names, lambda index: names.index(top_folder(images.mesh_of(index).place)))


def usable_meshes(
    meshes: Sequence[MeshFile], *, up: str = "y", resolution: int = 64, progress: OnProgress | None = None
) -> tuple[list[MeshFile], list[str]]:
    """The meshes that can be read, and one sentence for each that cannot."""
    usable, problems = [], []
    for done, mesh in enumerate(meshes, start=1):
        try:
            _cached(mesh, up, texture_size(resolution))
            usable.append(mesh)
        except DataError as error:
            problems.append(str(error))
        if progress is not None:
            progress(done, len(meshes))
    return usable, problems


def texture_size(resolution: int) -> int:
    """Side to which textures are averaged down for images of ``resolution`` pixels."""
    return max(128, 4 * resolution)


def render_model(
    model: TexturedMesh, label: npt.ArrayLike, resolution: int, samples: int = 2, scene: Any = None,
    drawing: Drawing | None = None,
) -> Pixels:  # fmt: skip
    """Pixels (H, W, 4) uint8 with straight alpha of a model whose bounding sphere fills the frame.

    Args:
        model: the mesh.
        label: (25,) EG3D camera label; the camera looks from outside the bounding sphere.
        resolution: side of the image.
        samples: rays along the side of a pixel.
        scene: embree's scene of the model, from :func:`embree_scene`, if it is there already.
        drawing: changes of shape, colour and light; None makes none.
    """
    drawing = drawing or Drawing()
    camera = np.asarray(label, dtype=np.float64)
    matrix, intrinsics = camera[:16].reshape(4, 4), camera[16:].reshape(3, 3)
    scale = _frame_scale(float(np.linalg.norm(matrix[:3, 3])), intrinsics[0, 0])
    origin = (matrix[:3, 3] / scale).astype(np.float32)
    rays = _rays(matrix, intrinsics, resolution * samples)
    # A scaled model is hit where the rays shrunk by the same factors hit the model as it is, at the same distances.
    light = _trace(
        model, embree_scene(model) if scene is None else scene, origin / drawing.scale, rays / drawing.scale, drawing
    )  # (samples, 4) premultiplied
    blocks = light.reshape(resolution, samples, resolution, samples, 4).mean(axis=(1, 3))
    color = blocks[..., :3] / np.maximum(blocks[..., 3:], 1e-6)
    return to_uint8(255 * np.clip(np.concatenate([color, blocks[..., 3:]], axis=-1), 0, 1))


def embree_scene(model: TexturedMesh) -> Any:
    """Embree's acceleration structure of a model."""
    scene_type, triangles_type = _embree()
    scene = scene_type()
    triangles_type(scene, model.corners)
    return scene


def _embree() -> tuple[Any, Any]:
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError as error:
        raise MissingExtraError("embreex", "meshes", "rendering meshes") from error
    return EmbreeScene, TriangleMesh


def _frame_scale(radius: float, focal: float) -> float:
    """World radius r of the sphere whose outline lies at FRAME_FILL = focal r / sqrt(radius^2 - r^2)."""
    return float(FRAME_FILL * radius / np.hypot(focal, FRAME_FILL))


def _rays(matrix: npt.NDArray[np.float64], intrinsics: npt.NDArray[np.float64], size: int) -> Values:
    """Unit directions (size * size, 3) through the pixels' centres."""
    ticks = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid((ticks - intrinsics[0, 2]) / intrinsics[0, 0], (ticks - intrinsics[1, 2]) / intrinsics[1, 1])
    camera = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    rays = camera @ matrix[:3, :3].T
    directions: Values = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)
    return directions


def _trace(model: TexturedMesh, scene: Any, origin: Values, rays: Values, drawing: Drawing) -> Values:
    """Premultiplied colour and alpha (n, 4) along the ``rays`` (n, 3) in the model's space, nearest surface first."""
    result = np.zeros((len(rays), 4), dtype=np.float32)
    clear = np.ones(len(rays), dtype=np.float32)  # what still shines through
    start = np.broadcast_to(origin, rays.shape).copy()
    alive = np.arange(len(rays))
    for _ in range(MAX_LAYERS):
        hits = scene.run(start[alive], rays[alive], output=True)
        met = hits["primID"] >= 0
        alive, face, distance = alive[met], hits["primID"][met], hits["tfar"][met]
        if not len(alive):
            break
        weights = np.stack([1 - hits["u"][met] - hits["v"][met], hits["u"][met], hits["v"][met]], axis=1)
        color = _shade(model, face, weights, rays[alive], drawing)
        amount = clear[alive] * color[:, 3]
        result[alive, :3] += color[:, :3] * amount[:, None]
        result[alive, 3] += amount
        clear[alive] -= amount
        start[alive] += rays[alive] * (distance + STEP)[:, None]
        alive = alive[clear[alive] > 1 / 256]
    return result


def _shade(
    model: TexturedMesh, face: npt.NDArray[np.int32], weights: Values, rays: Values, drawing: Drawing
) -> Values:  # fmt: skip
    """Lit colour and alpha (n, 4) at barycentric ``weights`` (n, 3) of triangles ``face`` (n,); both sides are lit."""
    normals = np.einsum("nc,nci->ni", weights, model.normals[face]) / drawing.scale
    rays = rays * drawing.scale  # in the world, as the normals
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= np.where((normals * rays).sum(axis=1, keepdims=True) > 0, np.float32(-1), np.float32(1))
    color = np.einsum("nc,nci->ni", weights, model.colors[face])
    surface = model.surface[face]
    for number in np.unique(surface):
        at = np.flatnonzero(surface == number)
        uv = np.einsum("nc,nci->ni", weights[at], model.uvs[face[at]])
        color[at] *= _surface_color(model.surfaces[number], uv)
    color[:, :3] = np.clip(color[:, :3] @ drawing.color.T, 0, None) * brightness(normals, drawing.light)
    lit: Values = np.clip(color, 0, 1)
    return lit


def _surface_color(surface: Material, uv: Values) -> Values:
    """Material colour and alpha (n, 4) at texture coordinates (n, 2), repeated beyond [0, 1], bilinear."""
    if surface.texture is None:
        return np.broadcast_to(surface.color, (len(uv), 4))
    height, width = surface.texture.shape[:2]
    x, y = uv[:, 0] % 1 * width - 0.5, (1 - uv[:, 1]) % 1 * height - 0.5
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right_share, bottom_share = (x - left)[:, None], (y - top)[:, None]
    rows, columns = ((top % height, (top + 1) % height), (left % width, (left + 1) % width))
    upper, lower = (
        surface.texture[row, columns[0]] * (1 - right_share) + surface.texture[row, columns[1]] * right_share
        for row in rows
    )
    texel: Values = (upper * (1 - bottom_share) + lower * bottom_share) / np.float32(255)
    return surface.color * texel


@lru_cache(maxsize=8)
def _order(seed: int, turn: int, count: int) -> npt.NDArray[np.intp]:
    """The order of ``count`` meshes in round ``turn``."""
    key = np.array([seed, 2**63 + turn], dtype=np.uint64)  # apart from the keys of the images
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)


_models: OrderedDict[tuple[Path, str, str, int], tuple[TexturedMesh, Any]] = OrderedDict()


def _cached(mesh: MeshFile, up: str, size: int) -> tuple[TexturedMesh, Any]:
    """The mesh and its embree scene; those used last stay in this process's memory."""
    key = (mesh.store.path, mesh.name, up, size)
    if key not in _models:
        model = load_textured_mesh(mesh, up, size)
        _models[key] = (model, embree_scene(model))
        while sum(model.bytes for model, _ in _models.values()) > CACHE_BYTES and len(_models) > 1:
            _models.popitem(last=False)
    _models.move_to_end(key)
    return _models[key]
