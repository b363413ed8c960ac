"""The type that crosses every border: a batch of Gaussian scenes whose Gaussians know their level and parent.

Letters used throughout the toolkit: B scenes, N Gaussians per scene, K spherical-harmonic coefficients, C cameras.
World frame: y up, right-handed, +z towards the frontal camera (EG3D).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import InitVar, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from hgs_toolkit.conventions import BACKGROUND_LEVEL as BACKGROUND_LEVEL
from hgs_toolkit.conventions import MAX_LEVELS
from hgs_toolkit.conventions import NO_PARENT as NO_PARENT
from hgs_toolkit.encoding import log_scales_to_scales, logits_to_opacities, sh_degree
from hgs_toolkit.errors import ShapeError


@dataclass(frozen=True, eq=False)
class GaussianCloud:
    """A batch of B scenes of N Gaussians each, every parameter as stored (not activated).

    Attributes:
        means: (B, N, 3) centres, world units.
        log_scales: (B, N, 3) natural logarithm of the standard deviations along the Gaussian's own axes.
        quats: (B, N, 4) wxyz rotations, local to world; need not be normalised.
        sh: (B, N, K, 3) spherical-harmonic coefficients, K = 1, 4, 9 or 16; rgb = 0.5 + C0 * sh[..., 0, :] + ...
        opacity_logits: (B, N) logits of the opacities.

    Raises:
        ShapeError: if shapes, dtypes or devices contradict each other, or, unless ``check_finite`` is false,
            if a value is NaN or infinite (the message counts them).
    """

    means: Tensor
    log_scales: Tensor
    quats: Tensor
    sh: Tensor
    opacity_logits: Tensor
    check_finite: InitVar[bool] = True

    def __post_init__(self, check_finite: bool) -> None:
        _check_parameters(self.parameters(), check_finite)

    @property
    def batch(self) -> int:
        """Number of scenes, B."""
        return self.means.shape[0]

    @property
    def num_gaussians(self) -> int:
        """Gaussians per scene, N."""
        return self.means.shape[1]

    @property
    def sh_degree(self) -> int:
        """Degree of the stored spherical harmonics, 0 to 3."""
        return sh_degree(self.sh.shape[2])

    @property
    def scales(self) -> Tensor:
        """(B, N, 3) standard deviations, world units: the activated form of ``log_scales``."""
        return log_scales_to_scales(self.log_scales)

    @property
    def opacities(self) -> Tensor:
        """(B, N) opacities in 0..1: the activated form of ``opacity_logits``."""
        return logits_to_opacities(self.opacity_logits)

    @property
    def device(self) -> torch.device:
        """Device of every tensor."""
        return self.means.device

    def parameters(self) -> dict[str, Tensor]:
        """The five parameter tensors by name."""
        return {name: getattr(self, name) for name in PARAMETERS}


PARAMETERS = ("means", "log_scales", "quats", "sh", "opacity_logits")


@dataclass(frozen=True, eq=False)
class GaussianHierarchy(GaussianCloud):
    """A :class:`GaussianCloud` whose Gaussians form a forest that all B scenes share.

    Attributes:
        level: (N,) int64, 0 the coarsest; -1 for Gaussians outside the tree (background).
        parent: (N,) int64 index of the parent within this cloud, -1 for roots.
            A parent's level is lower than its child's.
        anchors: the generator's invisible anchors, on which children are placed; None where they are unknown.

    Without ``level`` every Gaussian is a root of level 0 (a foreign, flat splat file). ``check_forest=False`` leaves
    out the check of levels and parents, which waits for the device: for a forest that was checked before.
    """

    level: Tensor = None  # type: ignore[assignment]
    parent: Tensor = None  # type: ignore[assignment]
    anchors: GaussianHierarchy | None = None
    check_forest: InitVar[bool] = True

    def __post_init__(self, check_finite: bool, check_forest: bool) -> None:
        super().__post_init__(check_finite)
        if self.level is None:
            object.__setattr__(self, "level", self._constant(0))
        if self.parent is None:
            object.__setattr__(self, "parent", self._constant(NO_PARENT))
        if check_forest:
            self._check_forest()

    def _constant(self, value: int) -> Tensor:
        return torch.full((self.num_gaussians,), value, dtype=torch.int64, device=self.device)

    def _check_forest(self) -> None:
        count = self.num_gaussians
        for name in ("level", "parent"):
            index = getattr(self, name)
            if index.shape != (count,) or index.dtype != torch.int64:
                raise ShapeError(f"{name} is {_describe(index)}; expected int64 of shape ({count},)")
        if count == 0:
            return
        if int(self.level.min()) < BACKGROUND_LEVEL or int(self.level.max()) >= MAX_LEVELS:
            raise ShapeError(
                f"levels {int(self.level.min())} to {int(self.level.max())} found; "
                f"expected -1 (background) or 0 to {MAX_LEVELS - 1}"
            )
        has_parent = self.parent != NO_PARENT
        parents = self.parent[has_parent]
        if bool(((parents < 0) | (parents >= count)).any()):
            raise ShapeError(f"a parent index lies outside 0..{count - 1}; expected an index into the cloud or -1")
        if bool((self.level[parents] >= self.level[has_parent]).any()):
            raise ShapeError("a Gaussian's parent is not of a lower level; expected every parent above its children")

    @property
    def is_background(self) -> Tensor:
        """(N,) bool: Gaussians outside of the tree."""
        return self.level == BACKGROUND_LEVEL

    @property
    def num_levels(self) -> int:
        """Number of levels of the tree, L; the background does not count."""
        return int(self.level.max()) + 1 if self.num_gaussians else 0

    @property
    def level_counts(self) -> list[int]:
        """Number of Gaussians of each level 0 .. L-1."""
        return [int((self.level == level).sum()) for level in range(self.num_levels)]

    def __repr__(self) -> str:
        kind = str(self.means.dtype).removeprefix("torch.")
        return (
            f"{type(self).__name__}({self.batch} x {self.num_gaussians} Gaussians, levels {self.level_counts}, "
            f"{int(self.is_background.sum())} background, SH degree {self.sh_degree}, {kind} on {self.device})"
        )

    def __len__(self) -> int:
        return self.batch

    def __getitem__(self, scene: int | slice) -> Self:
        """One scene (as a batch of one) or a slice of the batch; negative indices count from the end."""
        if isinstance(scene, int):
            if not -self.batch <= scene < self.batch:
                raise IndexError(f"scene {scene} of a batch of {self.batch}")
            scene = slice(scene, scene + 1 or None)
        return self._with({name: value[scene] for name, value in self.parameters().items()},
                          anchors=None if self.anchors is None else self.anchors[scene])  # fmt: skip

    def levels(self, *levels: int | Iterable[int], background: bool = True) -> Self:
        """The Gaussians of the named levels (numbers or ranges), in their order; anchors are kept whole.

        ``scene.levels(range(3))`` is the union of the levels 0, 1 and 2: a level of detail, since the
        generator draws all its levels together. Background Gaussians stay unless ``background`` is false.
        """
        wanted: set[int] = set()
        for item in levels:
            wanted.update([item] if isinstance(item, int) else item)
        if background:
            wanted.add(BACKGROUND_LEVEL)
        return self.select(torch.isin(self.level, torch.tensor(sorted(wanted), device=self.device)))

    def select(self, keep: Tensor) -> Self:
        """The Gaussians where ``keep`` (N,) bool is true; parents are renumbered, lost ones become -1."""
        index = keep.nonzero().squeeze(1)  # (M,)
        new_index = self._constant(NO_PARENT)
        new_index[index] = torch.arange(len(index), device=self.device)
        parent = self.parent[index]
        parent = torch.where(parent == NO_PARENT, NO_PARENT, new_index[parent.clamp_min(0)])
        return self._with({name: value[:, index] for name, value in self.parameters().items()},
                          level=self.level[index], parent=parent)  # fmt: skip

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same hierarchy on another device or with parameters of another floating-point type."""
        return self._with(
            {name: value.to(device=device, dtype=dtype) for name, value in self.parameters().items()},
            level=self.level.to(device), parent=self.parent.to(device),
            anchors=None if self.anchors is None else self.anchors.to(device, dtype),
        )  # fmt: skip

    def detach(self) -> Self:
        """The same values without a gradient graph."""
        return self._with({name: value.detach() for name, value in self.parameters().items()},
                          anchors=None if self.anchors is None else self.anchors.detach())  # fmt: skip

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like a new one (``check_finite=False``: like a new one so made).

        The forest is checked only if ``level`` or ``parent`` are among the changes.
        """
        checks = {"check_finite": True, "check_forest": bool({"level", "parent"} & changes.keys())}
        return self._with({}, **(checks | changes))

    def _with(
        self, parameters: dict[str, Tensor], check_finite: bool = False, check_forest: bool = False, **changes: Any
    ) -> Self:
        """A copy with other values; a part of a checked forest need not be checked again."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**(values | parameters | changes), check_finite=check_finite, check_forest=check_forest)


def concatenate(clouds: list[GaussianHierarchy]) -> GaussianHierarchy:
    """Hierarchies of the same batch joined along N, parents renumbered, SH padded to the highest degree.

    The anchors of the first cloud are kept.

    Raises:
        ShapeError: if the batch sizes differ or ``clouds`` is empty.
    """
    if not clouds:
        raise ShapeError("no hierarchies given; expected at least one to concatenate")
    bases = max(cloud.sh.shape[2] for cloud in clouds)
    parents, offset = [], 0
    for cloud in clouds:
        parents.append(torch.where(cloud.parent == NO_PARENT, NO_PARENT, cloud.parent + offset))
        offset += cloud.num_gaussians
    parameters = {
        name: torch.cat([_pad_sh(getattr(c, name), bases) if name == "sh" else getattr(c, name) for c in clouds], 1)
        for name in PARAMETERS
    }
    level = torch.cat([cloud.level for cloud in clouds])
    return GaussianHierarchy(
        **parameters,
        level=level,
        parent=torch.cat(parents),
        anchors=clouds[0].anchors,
        check_finite=False,
        check_forest=True,
    )


def stack(scenes: list[GaussianHierarchy]) -> GaussianHierarchy:
    """Hierarchies of the same tree joined along the batch B; anchors are kept where all scenes have them."""
    if not scenes:
        raise ShapeError("no hierarchies given; expected at least one to stack")
    first = scenes[0]
    for scene in scenes[1:]:
        if not (torch.equal(scene.level, first.level) and torch.equal(scene.parent, first.parent)):
            raise ShapeError("hierarchies with different trees cannot be stacked; expected equal levels and parents")
    anchors = [scene.anchors for scene in scenes if scene.anchors is not None]
    return GaussianHierarchy(
        **{name: torch.cat([getattr(scene, name) for scene in scenes]) for name in PARAMETERS},
        level=first.level,
        parent=first.parent,
        anchors=stack(anchors) if len(anchors) == len(scenes) else None,
        check_finite=False,
        check_forest=False,
    )


def _pad_sh(sh: Tensor, bases: int) -> Tensor:
    """(B, N, K, 3) with zero coefficients appended up to ``bases``."""
    return torch.nn.functional.pad(sh, (0, 0, 0, bases - sh.shape[2]))


def _check_parameters(parameters: dict[str, Tensor], check_finite: bool) -> None:
    means = parameters["means"]
    if means.ndim != 3 or means.shape[-1] != 3:
        raise ShapeError(f"means is {_describe(means)}; expected floating point of shape (B, N, 3)")
    batch, count = means.shape[:2]
    bases = parameters["sh"].shape[2] if parameters["sh"].ndim == 4 else -1
    shapes = {
        "means": (batch, count, 3),
        "log_scales": (batch, count, 3),
        "quats": (batch, count, 4),
        "sh": (batch, count, bases, 3),
        "opacity_logits": (batch, count),
    }
    for name, value in parameters.items():
        if tuple(value.shape) != shapes[name] or not value.is_floating_point():
            raise ShapeError(f"{name} is {_describe(value)}; expected floating point of shape {shapes[name]}")
        if value.dtype != means.dtype or value.device != means.device:
            raise ShapeError(
                f"{name} is {_describe(value)} on {value.device}; means is {means.dtype} on {means.device}"
            )
    if bases not in (1, 4, 9, 16):
        raise ShapeError(f"sh is {_describe(parameters['sh'])}; expected 1, 4, 9 or 16 coefficients per channel")
    if check_finite:
        _check_finite(parameters)


def _check_finite(parameters: dict[str, Tensor]) -> None:
    """Raise a ShapeError that counts the non-finite values of each parameter, if there are any."""
    # A sum is finite only if all its terms are, and is far quicker than looking at each.
    # All sums are looked at together: on a GPU each look waits for everything before it.
    if bool(torch.stack([value.sum() for value in parameters.values()]).isfinite().all()):
        return
    bad = {name: int((~value.isfinite()).sum()) for name, value in parameters.items()}
    found = ", ".join(f"{count} in {name}" for name, count in bad.items() if count)
    if found:
        raise ShapeError(f"non-finite values in the Gaussians ({found}); expected finite numbers only")


def _describe(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
