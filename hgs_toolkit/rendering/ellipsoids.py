"""Gaussians as hard, shaded ellipsoids: rays are intersected with them exactly, the nearest surface is kept.

The images show each splat's centre, axes and size instead of what it adds to an image. On the CPU a kernel goes over
the (Gaussian, pixel) pairs, on other devices torch operations do; there are no gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.cameras import Cameras
from hgs_toolkit.encoding import log_scales_to_scales, logits_to_opacities, quats_to_rotmats
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.rendering.harmonics import sh_to_rgb

SIGMAS = 1.5
"""Length of the half axes in standard deviations: there a single opaque Gaussian has alpha 0.3 and looks solid."""

MIN_OPACITY = 0.1
"""Opacity below which Gaussians are left out, since every ellipsoid is drawn solid."""

NEAR = 0.01
"""Distance from the camera's plane, in world units; ellipsoids that reach nearer are left out."""

SUPERSAMPLING = 2
"""Number of rays per pixel and axis."""

PAIRS_AT_ONCE = 1 << 21
"""Number of (Gaussian, pixel) pairs computed together, some 200 MB."""

AMBIENT, DIFFUSE = 0.4, 0.6
LIGHT = (-0.4, -0.6, -1.0)
"""Direction towards the light in camera axes (x right, y down, z forward): behind the viewer, up and to the left."""

NO_HIT = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class _Ellipsoids:
    """E ellipsoids before one camera, which is the origin of all coordinates.

    Attributes:
        to_ball: (E, 3, 3) maps camera coordinates to those in which the ellipsoid is a unit ball.
        origin: (E, 3) the camera in these coordinates.
        colors: (E, 3) display RGB.
        boxes: (E, 4) int64 first column, first row, width and height of the pixels that may see it; width >= 1.
    """

    to_ball: Tensor
    origin: Tensor
    colors: Tensor
    boxes: Tensor


@torch.no_grad()
def render_ellipsoids(
    scene: GaussianHierarchy, camera: Cameras, width: int, height: int, *, splat_scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Shaded ellipsoids of one scene (a batch of one) seen by one camera (1,).

    Args:
        splat_scale: factor on their size, which is :data:`SIGMAS` standard deviations otherwise.

    Returns:
        Colours (H, W, 3), premultiplied by the coverage (H, W, 1).
    """
    camera = camera.to(scene.device, scene.means.dtype)
    fine_width, fine_height = width * SUPERSAMPLING, height * SUPERSAMPLING
    focal_and_centre = _focal_and_centre(camera, fine_width, fine_height)
    ellipsoids = _before_camera(scene, camera, focal_and_centre, fine_width, fine_height, SIGMAS * splat_scale)
    nearest = _nearest(ellipsoids, focal_and_centre, fine_width, fine_height)  # (H' W') packed
    image = _shade(ellipsoids, focal_and_centre, nearest, fine_width).view(fine_height, fine_width, 4)
    coarse = torch.nn.functional.avg_pool2d(image.permute(2, 0, 1), SUPERSAMPLING).permute(1, 2, 0)
    return coarse[..., :3], coarse[..., 3:]


def _focal_and_centre(camera: Cameras, width: int, height: int) -> Tensor:
    """(2, 2): focal lengths, then centre, in pixels."""
    K = camera.pixel_intrinsics(width, height)[0]
    return torch.stack([K[[0, 1], [0, 1]], K[:2, 2]])


def _before_camera(
    scene: GaussianHierarchy, camera: Cameras, focal_and_centre: Tensor, width: int, height: int, size: float
) -> _Ellipsoids:
    """The ellipsoids that are opaque enough, wholly in front of the camera and within the image."""
    view = camera.viewmats[0].double()
    rotation = view[:3, :3] @ quats_to_rotmats(scene.quats[0]).double()  # (N, 3, 3), columns: axes seen by the camera
    center = scene.means[0].double() @ view[:3, :3].T + view[:3, 3]  # (N, 3)
    axes = rotation * (log_scales_to_scales(scene.log_scales[0]).double() * size)[:, None]  # (N, 3, 3)
    low, high, in_front = _outline(center, axes)
    focal, centre = focal_and_centre.double()
    limit = torch.tensor([width, height], dtype=low.dtype, device=low.device)
    # Pixel i is seen through i + 0.5.
    first = (low * focal + centre - 0.5).clamp(min=low.new_zeros(2), max=limit).ceil().long()
    last = (high * focal + centre - 0.5).clamp(min=-low.new_ones(2), max=limit - 1).floor().long()
    opaque = logits_to_opacities(scene.opacity_logits[0]) >= MIN_OPACITY
    keep = (in_front & opaque & (last >= first).all(-1)).nonzero().squeeze(1)
    colors = sh_to_rgb(scene.sh, scene.means, camera.viewmats[None], scene.sh_degree)[0, 0]  # (N, 3)
    inverse = (axes / axes.square().sum(1, keepdim=True)).mT  # (N, 3, 3): axes are orthogonal
    return _Ellipsoids(
        to_ball=inverse[keep].to(scene.means.dtype),
        origin=-(inverse @ center[..., None])[keep, :, 0].to(scene.means.dtype),
        colors=colors[keep].clamp(0, 1),
        boxes=torch.cat([first, last - first + 1], dim=-1)[keep],
    )


def _outline(center: Tensor, axes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lowest and highest x / z and y / z (N, 2) of ellipsoids, and whether (N,) they lie in front of the camera.

    A plane x = X z touches an ellipsoid with S = axes axes' and centre m where S_xx - 2 X S_xz + X^2 S_zz =
    (m_x - X m_z)^2: a quadratic equation in X, likewise in y.
    """
    S = axes @ axes.mT  # (N, 3, 3)
    z = center[:, 2:]
    flat, depth, mixed = S.diagonal(dim1=-2, dim2=-1)[:, :2], S[:, 2:, 2], S[:, :2, 2]
    xy = center[:, :2]
    in_front = z - depth.sqrt() > NEAR
    denominator = torch.where(in_front, z * z - depth, 1.0)
    middle = xy * z - mixed
    root = (mixed * mixed - flat * depth + depth * xy * xy + flat * z * z - 2 * mixed * xy * z).clamp_min(0).sqrt()
    return (middle - root) / denominator, (middle + root) / denominator, in_front[:, 0]


def _nearest(ellipsoids: _Ellipsoids, focal_and_centre: Tensor, width: int, height: int) -> Tensor:
    """Which ellipsoid each pixel sees first: (H W,) int64, its index in the lower 32 bits; NO_HIT for none."""
    if ellipsoids.boxes.device.type != "cpu":
        return _nearest_in_torch(ellipsoids, focal_and_centre, width, height)
    from hgs_toolkit.rendering.ellipsoid_kernel import NOTHING, find_nearest  # imports Numba, which takes a second

    to_ball, origin, boxes = (
        part.contiguous().numpy() for part in (ellipsoids.to_ball, ellipsoids.origin, ellipsoids.boxes)
    )
    fx, fy, cx, cy = focal_and_centre.flatten().tolist()
    index = torch.from_numpy(find_nearest(to_ball, origin, boxes, (fx, fy, cx, cy), width, height)).flatten()
    return index.masked_fill_(index == NOTHING, NO_HIT)


def _nearest_in_torch(ellipsoids: _Ellipsoids, focal_and_centre: Tensor, width: int, height: int) -> Tensor:
    """What :func:`_nearest` returns, on any device; the depth's bits stand above the index."""
    device = ellipsoids.boxes.device
    nearest = torch.full((width * height,), NO_HIT, device=device)
    areas = ellipsoids.boxes[:, 2] * ellipsoids.boxes[:, 3]
    ends = areas.cumsum(0)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, PAIRS_AT_ONCE):
        pair = torch.arange(start, min(start + PAIRS_AT_ONCE, total), device=device)
        index = torch.searchsorted(ends, pair, right=True)
        left, top, across, _ = ellipsoids.boxes[index].unbind(-1)
        within = pair - (ends - areas)[index]
        column, row = left + within % across, top + within // across
        depth, _ = _hit(ellipsoids, index, _rays(focal_and_centre, column, row))
        hit = ~depth.isnan()
        # Positive floats are ordered like their bits.
        key = (depth[hit].float().contiguous().view(torch.int32).long() << 32) | index[hit]
        nearest.scatter_reduce_(0, (row * width + column)[hit], key, "amin")
    return nearest


def _rays(focal_and_centre: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Directions (P, 3) through pixel centres, of z 1."""
    focal, centre = focal_and_centre
    xy = (torch.stack([column, row], dim=-1) + 0.5 - centre) / focal
    return torch.nn.functional.pad(xy, (0, 1), value=1.0)


def _hit(ellipsoids: _Ellipsoids, index: Tensor, rays: Tensor) -> tuple[Tensor, Tensor]:
    """Depth (P,) of the nearer intersection, NaN where the ray misses, and the point on the unit ball (P, 3)."""
    direction = (ellipsoids.to_ball[index] @ rays[..., None]).squeeze(-1)
    origin = ellipsoids.origin[index]
    squared = direction.square().sum(-1)
    # From the ray's point nearest to the centre: small ellipsoids far away would cancel otherwise.
    middle = -(origin * direction).sum(-1) / squared
    closest = origin + middle[:, None] * direction
    inside = 1 - closest.square().sum(-1)
    half = (inside.clamp_min(0) / squared).sqrt()
    depth = torch.where(inside >= 0, middle - half, torch.nan)
    return depth, closest - half[:, None] * direction


def _shade(ellipsoids: _Ellipsoids, focal_and_centre: Tensor, nearest: Tensor, width: int) -> Tensor:
    """(H W, 4): colour of what each pixel sees, and 1 where it sees something."""
    image = ellipsoids.origin.new_zeros(len(nearest), 4)
    pixel = (nearest != NO_HIT).nonzero().squeeze(1)
    index = nearest[pixel] & 0xFFFFFFFF
    _, point = _hit(ellipsoids, index, _rays(focal_and_centre, pixel % width, pixel // width))
    # The normal of |A x| = 1 is A' (A x).
    normal = torch.nn.functional.normalize((ellipsoids.to_ball[index].mT @ point[..., None]).squeeze(-1), dim=-1)
    light = torch.nn.functional.normalize(normal.new_tensor(LIGHT), dim=0)
    brightness = AMBIENT + DIFFUSE * (normal @ light).clamp_min(0)
    image[pixel, :3] = ellipsoids.colors[index] * brightness[:, None]
    image[pixel, 3] = 1.0
    return image
