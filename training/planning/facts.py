"""What a plan is made from: the set, and the machine."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from hgs_toolkit.config import ClassPrior
from hgs_toolkit.datasets.eg3d import POSES, PosedImages
from hgs_toolkit.datasets.measured_poses import measure_poses
from hgs_toolkit.memory import available_memory
from hgs_toolkit.metrics import lite0
from hgs_toolkit.pose_prior import PosePrior

RENDERED = "pose_prior"
"""The entry of dataset.json by which a set that the toolkit has rendered is known."""


@dataclass(frozen=True)
class SetFacts:
    """What a set is like.

    Attributes:
        name: of the folder or archive.
        images: how many.
        resolution: side of the stored images, pixels.
        has_alpha: whether they have transparency.
        poses: distribution of the cameras, measured from the labels.
        assumed: how the labels were made up, where no camera is known; empty where they were measured or rendered.
        classes: its classes and how often each occurs; empty for a set without.
        rendered: whether the toolkit has rendered it, so that more of it can be rendered.
    """

    name: str
    images: int
    resolution: int
    has_alpha: bool
    poses: PosePrior
    assumed: str = ""
    rendered: bool = False
    classes: ClassPrior = field(default_factory=ClassPrior)

    @classmethod
    def of(cls, images: PosedImages) -> SetFacts:
        """The facts about ``images``."""
        return cls(
            images.path.name, len(images), images.stored_resolution, images.has_alpha, measure_poses(images.labels),
            str(images.facts.get(POSES, "")), RENDERED in images.facts,
            images.classes.prior if images.classes is not None else ClassPrior(),
        )  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """Where a plan is to run.

    Attributes:
        device: ``cpu`` or ``cuda``.
        memory: bytes that are free there.
        pretrained: whether EfficientNet-Lite0, whose features heads of the discriminator judge, is installed.
    """

    device: str
    memory: int
    pretrained: bool = False

    @classmethod
    def of(cls, device: torch.device) -> Machine:
        """The machine as it is now."""
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
        return cls(device.type, free, lite0.is_installed())
