"""Cameras: EG3D labels, axis conventions by name, trajectories.

A camera looks along its own axes, a world has a frame; both are converted here and by name only.
Camera axes: ``opencv`` (x right, y down, z forward; ours) and ``opengl`` (x right, y up, z backward; NeRF, Blender).
World frames: ``y_up`` (right-handed, +z towards the frontal camera; ours, EG3D, glTF), ``z_up`` (Blender, +z up,
the frontal camera at -y) and ``rdf`` (x right, y down, z forward; COLMAP and 3D-GS .ply).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hgs_toolkit.conventions import DEFAULT_RADIUS
from hgs_toolkit.conventions import LABEL_SIZE as LABEL_SIZE
from hgs_toolkit.conventions import WORLD_FRAMES as WORLD_FRAMES
from hgs_toolkit.errors import ShapeError

CAMERA_AXES = {"opencv": (1.0, 1.0, 1.0), "opengl": (1.0, -1.0, -1.0)}
"""Signs that turn OpenCV camera axes into the named ones."""


@dataclass(frozen=True, eq=False)
class Cameras:
    """A batch of pinhole cameras.

    Attributes:
        cam_to_world: (..., 4, 4) rigid transforms, OpenCV camera axes, ``y_up`` world.
        intrinsics: (..., 3, 3) divided by the image size: focal lengths and centre in image widths and heights.

    Raises:
        ShapeError: if the shapes do not fit each other.
    """

    cam_to_world: Tensor
    intrinsics: Tensor

    def __post_init__(self) -> None:
        lead = self.cam_to_world.shape[:-2]
        if self.cam_to_world.shape[-2:] != (4, 4) or self.intrinsics.shape != (*lead, 3, 3):
            raise ShapeError(
                f"cam_to_world {tuple(self.cam_to_world.shape)} and intrinsics {tuple(self.intrinsics.shape)}; "
                "expected (..., 4, 4) and (..., 3, 3)"
            )

    @classmethod
    def from_labels(cls, labels: Tensor) -> Cameras:
        """Cameras of EG3D labels (..., 25)."""
        if labels.shape[-1] != LABEL_SIZE:
            raise ShapeError(f"a camera label of {labels.shape[-1]} numbers; expected {LABEL_SIZE} (16 + 9)")
        return cls(labels[..., :16].unflatten(-1, (4, 4)), labels[..., 16:].unflatten(-1, (3, 3)))

    @property
    def labels(self) -> Tensor:
        """EG3D labels (..., 25): row-major camera-to-world, then row-major normalised intrinsics."""
        return torch.cat([self.cam_to_world.flatten(-2), self.intrinsics.flatten(-2)], dim=-1)

    @property
    def viewmats(self) -> Tensor:
        """World-to-camera matrices (..., 4, 4), OpenCV axes, as :func:`hgs_toolkit.rasterize` takes them."""
        return invert_rigid(self.cam_to_world)

    @property
    def forward(self) -> Tensor:
        """Unit viewing directions (..., 3) in the world: the cameras' +z axes."""
        return self.cam_to_world[..., :3, 2]

    @property
    def positions(self) -> Tensor:
        """Camera centres (..., 3) in the world."""
        return self.cam_to_world[..., :3, 3]

    def pixel_intrinsics(self, width: int, height: int) -> Tensor:
        """Intrinsics in pixels (..., 3, 3) for images of ``width`` x ``height``."""
        size = torch.tensor([width, height, 1.0], dtype=self.intrinsics.dtype, device=self.intrinsics.device)
        return self.intrinsics * size[:, None]

    def with_focal(self, focal: float | None) -> Cameras:
        """The same cameras with the normalised focal length ``focal`` and a centred image; None changes nothing."""
        if focal is None:
            return self
        shape = tuple(self.intrinsics.shape[:-2])
        return Cameras(self.cam_to_world, make_intrinsics(focal, shape).to(self.intrinsics))

    def mirrored_x(self) -> Cameras:
        """The same cameras with the opposite sign of the world-to-camera x-translation: moved, not turned.

        A camera at p with the x axis a stands at p - 2 (a . p) a. One that looks at the origin does not move.
        """
        axis, position = self.cam_to_world[..., :3, :1], self.cam_to_world[..., :3, 3:]  # (..., 3, 1) each
        moved = position - 2 * axis * (axis.mT @ position)
        upper = torch.cat([self.cam_to_world[..., :3, :3], moved], dim=-1)
        return Cameras(torch.cat([upper, self.cam_to_world[..., 3:, :]], dim=-2), self.intrinsics)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Cameras:
        """The same cameras on another device or in another floating-point type."""
        return Cameras(self.cam_to_world.to(device, dtype), self.intrinsics.to(device, dtype))

    def reshape(self, *shape: int) -> Cameras:
        """The same cameras with other leading dimensions."""
        return Cameras(self.cam_to_world.reshape(*shape, 4, 4), self.intrinsics.reshape(*shape, 3, 3))

    def expand(self, *shape: int) -> Cameras:
        """The same cameras repeated to the leading dimensions ``shape``, without a copy."""
        return Cameras(self.cam_to_world.expand(*shape, 4, 4), self.intrinsics.expand(*shape, 3, 3))

    def __len__(self) -> int:
        return self.cam_to_world.shape[0]

    def __getitem__(self, index: int | slice | Tensor | tuple[int | slice | Tensor, ...]) -> Cameras:
        return Cameras(self.cam_to_world[index], self.intrinsics[index])

    def __iter__(self) -> Iterator[Cameras]:
        return (self[index] for index in range(len(self)))


def invert_rigid(matrix: Tensor) -> Tensor:
    """Inverse of rigid transforms (..., 4, 4) by transposing the rotation; exact and differentiable."""
    rotation = matrix[..., :3, :3].mT
    translation = -(rotation @ matrix[..., :3, 3:])
    return torch.cat([torch.cat([rotation, translation], dim=-1), matrix[..., 3:, :]], dim=-2)


def convert_camera_axes(cam_to_world: Tensor, source: str, target: str) -> Tensor:
    """Camera-to-world matrices (..., 4, 4) whose camera axes change from ``source`` to ``target`` (CAMERA_AXES)."""
    signs = torch.tensor([*CAMERA_AXES[source], 1.0]) * torch.tensor([*CAMERA_AXES[target], 1.0])
    return cam_to_world * signs.to(cam_to_world)


def world_rotation(source: str, target: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rotation (3, 3) that takes column vectors of the world frame ``source`` to ``target`` (WORLD_FRAMES)."""
    to_target = torch.tensor(WORLD_FRAMES[target], dtype=dtype)
    return to_target @ torch.tensor(WORLD_FRAMES[source], dtype=dtype).mT


def make_intrinsics(focal: float | Tensor, shape: tuple[int, ...] = ()) -> Tensor:
    """Normalised intrinsics (*shape, 3, 3) with ``focal`` image widths and the centre in the middle."""
    intrinsics = torch.zeros(*shape, 3, 3)
    intrinsics[..., 0, 0] = focal
    intrinsics[..., 1, 1] = focal
    intrinsics[..., :2, 2] = 0.5
    intrinsics[..., 2, 2] = 1.0
    return intrinsics


def look_at(position: Tensor, target: Tensor | None = None, pole_up: Tensor | None = None) -> Tensor:
    """Camera-to-world matrices (..., 4, 4), OpenCV axes, at ``position`` (..., 3) facing ``target`` (the origin).

    Args:
        pole_up: (..., 3) the image's up straight above or below the target, where it cannot be the world's y; -z or +z
            by default.
    """
    target = torch.zeros_like(position) if target is None else target
    forward = torch.nn.functional.normalize(target - position, dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0]).to(position).expand_as(forward)
    degenerate = forward[..., 1:2].abs() > 1 - 1e-6
    if pole_up is None:
        pole_up = torch.tensor([0.0, 0.0, 1.0]).to(position) * forward[..., 1:2].sign()
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.where(degenerate, pole_up, up)), dim=-1)
    down = torch.linalg.cross(forward, right)
    matrix = torch.zeros(*position.shape[:-1], 4, 4).to(position)
    matrix[..., :3, :] = torch.stack([right, down, forward, position], dim=-1)
    matrix[..., 3, 3] = 1.0
    return matrix


def from_yaw_pitch(
    yaw: Tensor, pitch: Tensor, radius: float | Tensor = DEFAULT_RADIUS, focal: float | Tensor = 2.0
) -> Cameras:
    """Cameras (...) on a sphere around the origin that look at it.

    Args:
        yaw: (...) radians; 0 is the frontal camera at +z, positive moves it towards +x. Straight above and below it
            turns the image.
        pitch: (...) radians; positive moves the camera up.
        radius: distance from the origin, world units.
        focal: normalised focal length (image widths).
    """
    yaw, pitch = torch.broadcast_tensors(yaw, pitch)
    direction = torch.stack([yaw.sin() * pitch.cos(), pitch.sin(), yaw.cos() * pitch.cos()], dim=-1)
    position = direction * torch.as_tensor(radius).to(direction)[..., None]
    up = torch.stack([-yaw.sin() * pitch.sin(), pitch.cos(), -yaw.cos() * pitch.sin()], dim=-1)
    return Cameras(look_at(position, pole_up=up), make_intrinsics(focal, tuple(yaw.shape)).to(direction))


def yaw_pitch_radius(cam_to_world: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Yaw, pitch (radians) and radius of camera centres (..., 4, 4); inverse of :func:`from_yaw_pitch`."""
    x, y, z = cam_to_world[..., :3, 3].unbind(-1)
    radius = (x * x + y * y + z * z).sqrt()
    return torch.atan2(x, z), torch.asin((y / radius.clamp_min(1e-12)).clamp(-1, 1)), radius


def frontal(focal: float = 2.0, radius: float = DEFAULT_RADIUS) -> Cameras:
    """The one camera (1,) in front."""
    return from_yaw_pitch(torch.zeros(1), torch.zeros(1), radius, focal)


def orbit(
    frames: int, focal: float = 2.0, radius: float = DEFAULT_RADIUS, pitch: float = 0.1, turns: float = 1.0
) -> Cameras:
    """``frames`` cameras once (``turns`` times) around the subject; the last step leads back to the first."""
    yaw = torch.arange(frames) / max(frames, 1) * (2 * math.pi * turns)
    return from_yaw_pitch(yaw, torch.full_like(yaw, pitch), radius, focal)


def ellipse(
    frames: int, focal: float = 2.0, radius: float = DEFAULT_RADIUS,
    yaw_range: float = 0.4, pitch_range: float = 0.2, pitch: float = 0.05,
) -> Cameras:  # fmt: skip
    """``frames`` cameras that sway on a closed ellipse in front: yaw +-``yaw_range``, pitch +-``pitch_range``."""
    phase = torch.arange(frames) / max(frames, 1) * (2 * math.pi)
    return from_yaw_pitch(yaw_range * phase.sin(), pitch + pitch_range * phase.cos(), radius, focal)


def mirror_labels(labels: Tensor) -> Tensor:
    """Labels (..., 25) of the cameras that see the left-right mirrored image of a mirrored world (x -> -x).

    The camera-to-world matrix M becomes F M F with F = diag(-1, 1, 1, 1): the entries of row 0 or column 0,
    but not both, change sign. The principal point is mirrored with the image.
    """
    cameras = Cameras.from_labels(labels)
    flip = torch.tensor([-1.0, 1.0, 1.0, 1.0]).to(labels)
    intrinsics = cameras.intrinsics.clone()
    intrinsics[..., 0, 2] = 1.0 - intrinsics[..., 0, 2]
    return Cameras(flip[:, None] * cameras.cam_to_world * flip, intrinsics).labels
