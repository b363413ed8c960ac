"""Cameras around three coloured balls, photographed by arithmetic of its own, and written in every source format."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.transform import Rotation

Values = npt.NDArray[np.float64]

SUBJECT = np.array([4.0, -2.0, 1.0])
"""Where all cameras look, in a world whose z points up."""

BALLS = SUBJECT + np.array([[0.5, 0.1, 0.3], [-0.4, 0.3, -0.2], [0.1, -0.5, 0.1]])
"""Red, green and blue."""

DISTANCE = 5.0


@dataclass(frozen=True)
class Photographs:
    """Eight cameras with one lens, and what they saw.

    Attributes:
        right, up, back, position: (8, 3) of each camera, unit vectors and centre in the world.
        fx, fy, cx, cy: the lens, pixels.
        k: its radial distortion.
    """

    right: Values
    up: Values
    back: Values
    position: Values
    width: int = 160
    height: int = 120
    fx: float = 200.0
    fy: float = 200.0
    cx: float = 84.0
    cy: float = 55.0
    k: float = 0.0

    @classmethod
    def take(cls, **lens: Any) -> Photographs:
        """From eight sides and three heights, all looking at SUBJECT."""
        yaw, pitch = np.arange(8) * 0.7, np.array([0.2, 0.5, -0.1] * 3)[:8]
        back = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], axis=1)
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        return cls(right, np.cross(back, right), back, SUBJECT + DISTANCE * back, **lens)

    def pixels(self, index: int, points: Values) -> Values:
        """Where points (n, 3) of the world are in photograph ``index``: (n, 2), pixels from the left and top edge."""
        offset = points - self.position[index]
        depth = -offset @ self.back[index]
        x, y = offset @ self.right[index] / depth, -(offset @ self.up[index]) / depth
        bend = 1 + self.k * (x * x + y * y)
        return np.stack([self.cx + self.fx * x * bend, self.cy + self.fy * y * bend], axis=1)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """The photograph (H, W, 3): a soft spot in a channel of its own for each ball."""
        v, u = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        spots = [np.exp(-((u - x) ** 2 + (v - y) ** 2) / 18) for x, y in self.pixels(index, BALLS)]
        pixels: npt.NDArray[np.uint8] = np.rint(255 * np.stack(spots, axis=-1)).astype(np.uint8)
        return pixels

    def save_images(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for index in range(8):
            Image.fromarray(self.image(index)).save(folder / f"r_{index}.png")

    def opengl(self, index: int) -> list[list[float]]:
        """Camera-to-world, OpenGL axes: the columns are right, up, back, centre."""
        columns = (self.right, self.up, self.back, self.position)
        matrix = np.stack([column[index] for column in columns], axis=1)
        return [*matrix.tolist(), [0.0, 0.0, 0.0, 1.0]]


def nerf_synthetic(photographs: Photographs, folder: Path) -> None:
    """Field of view, names without suffix, three files."""
    photographs.save_images(folder / "train")
    angle = 2 * math.atan(photographs.width / 2 / photographs.fx)
    for part, indices in (("train", range(5)), ("val", range(5, 6)), ("test", range(6, 8))):
        frames = [{"file_path": f"./train/r_{i}", "transform_matrix": photographs.opengl(i)} for i in indices]
        (folder / f"transforms_{part}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))


def nerfstudio(photographs: Photographs, folder: Path) -> None:
    """Focal lengths in pixels, the lens once and the principal point in each frame."""
    photographs.save_images(folder / "images")
    p = photographs
    frames = [
        {"file_path": f"images/r_{i}.png", "transform_matrix": p.opengl(i), "cx": p.cx, "cy": p.cy} for i in range(8)
    ]
    facts = {
        "camera_model": "OPENCV", "w": p.width, "h": p.height, "fl_x": p.fx, "fl_y": p.fy, "cx": 1.0, "cy": 1.0,
        "k1": p.k, "k2": 0, "p1": 0, "p2": 0, "frames": frames,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(facts))


def gaussian_splatting(photographs: Photographs, folder: Path) -> None:
    """cameras.json; rotation columns are right, down, forward."""
    photographs.save_images(folder / "images")
    p = photographs
    cameras = [
        {
            "id": i, "img_name": f"r_{i}", "width": p.width, "height": p.height, "position": p.position[i].tolist(),
            "rotation": np.stack([p.right[i], -p.up[i], -p.back[i]], axis=1).tolist(), "fx": p.fx, "fy": p.fy,
        } for i in range(8)
    ]  # fmt: skip
    (folder / "cameras.json").write_text(json.dumps(cameras))


def colmap(model: str) -> Callable[[Photographs, Path], None]:
    """A text model with one camera of the given kind."""

    def write(p: Photographs, folder: Path) -> None:
        p.save_images(folder / "images")
        parameters = {
            "SIMPLE_PINHOLE": (p.fx, p.cx, p.cy),
            "PINHOLE": (p.fx, p.fy, p.cx, p.cy),
            "SIMPLE_RADIAL": (p.fx, p.cx, p.cy, p.k),
            "OPENCV": (p.fx, p.fy, p.cx, p.cy, p.k, 0, 0, 0),
        }[model]
        sparse = folder / "sparse" / "0"
        sparse.mkdir(parents=True)
        numbers = " ".join(map(str, parameters))
        (sparse / "cameras.txt").write_text(f"# Camera list\n7 {model} {p.width} {p.height} {numbers}\n")
        lines = ["# Image list with two lines of data per image:"]
        for i in range(8):
            to_camera = np.stack([p.right[i], -p.up[i], -p.back[i]])  # rows
            x, y, z, w = Rotation.from_matrix(to_camera).as_quat()
            t = -to_camera @ p.position[i]
            lines += [f"{i + 1} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 7 r_{i}.png", "10 20 -1 30 40 5" if i % 2 else ""]
        (sparse / "images.txt").write_text("\n".join(lines) + "\n")

    return write


def colmap_binary(p: Photographs, folder: Path) -> None:
    """A binary model of OPENCV cameras in ``sparse/0``, with points behind every second image."""
    p.save_images(folder / "images")
    write_binary_model(p, folder / "sparse" / "0", range(8))


def write_binary_model(p: Photographs, folder: Path, indices: range) -> None:
    """cameras.bin and images.bin of some of the photographs."""
    folder.mkdir(parents=True)
    lens = struct.pack("<iiQQ8d", 7, 4, p.width, p.height, p.fx, p.fy, p.cx, p.cy, p.k, 0, 0, 0)
    (folder / "cameras.bin").write_bytes(struct.pack("<Q", 1) + lens)
    data = struct.pack("<Q", len(indices))
    for i in indices:
        to_camera = np.stack([p.right[i], -p.up[i], -p.back[i]])  # rows
        x, y, z, w = Rotation.from_matrix(to_camera).as_quat()
        data += struct.pack("<i7di", i + 1, w, x, y, z, *(-to_camera @ p.position[i]), 7) + f"r_{i}.png\0".encode()
        points = [(10.0, 20.0, -1), (30.0, 40.0, 5)] if i % 2 else []
        data += struct.pack("<Q", len(points)) + b"".join(struct.pack("<ddq", *point) for point in points)
    (folder / "images.bin").write_bytes(data)
