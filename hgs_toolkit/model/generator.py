"""The generator: z to w to a :class:`GaussianHierarchy` (Hyun & Heo 2024, arXiv 2406.02968)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hgs_toolkit.config import GeneratorConfig
from hgs_toolkit.encoding import bound_dc
from hgs_toolkit.errors import ShapeError
from hgs_toolkit.gaussians import BACKGROUND_LEVEL, NO_PARENT, GaussianHierarchy
from hgs_toolkit.model.attention import TransformerBlock
from hgs_toolkit.model.background import BackgroundGenerator
from hgs_toolkit.model.densify import Densify, Parameters, ScaleBounds
from hgs_toolkit.model.embedding import PointEmbedding
from hgs_toolkit.model.heads import VIEW_CHANNELS, Heads
from hgs_toolkit.model.layers import EqualLinear
from hgs_toolkit.model.level import Level
from hgs_toolkit.model.mapping import MappingNetwork
from hgs_toolkit.model.precision import autocast_dtype

FRONTAL_VIEW = (0.0, 0.0, -1.0)
"""Viewing direction of the frontal camera, which stands at +z."""


class Generator(nn.Module):
    """Latents to Gaussians, coarse to fine.

    w feeds a number of style slots, in the order of the network; :meth:`synthesize` takes one w for all of them or
    one for each, so that levels can be mixed.

    Attributes:
        config: what it was built from.
        num_ws: number of style slots.
        level_slots: for each level, the range of slots it reads; empty where a level takes no style.
        background_slot: the background's slot (the last), or None without a background generator.
        fingerprint: SHA-256 of the file it was loaded from; empty for one that was not.
    """

    fingerprint: str = ""

    tree_level: Tensor
    tree_parent: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.embedding = PointEmbedding(config.points, config.channels[0])
        self.transformer = nn.ModuleList(
            TransformerBlock(config.channels[0], config.heads, config.w_dim) for _ in range(config.transformer_blocks)
        )
        self.levels = nn.ModuleList(Level(config, level) for level in range(1, config.levels))
        self.heads = nn.ModuleList(self._make_heads(level) for level in range(config.levels))
        self.view_embedding = EqualLinear(3, VIEW_CHANNELS, activation="lrelu") if config.view_dependent_color else None
        self.densify = Densify(ScaleBounds.of_tree(config), config.initial_opacity_logit, config.hierarchy)
        self.background = BackgroundGenerator(config) if config.background == "generator" else None
        self._assign_slots()
        level, parent = _make_tree(config.level_counts, config.children)
        if self.background is not None:
            level = nn.functional.pad(level, (0, self.background.count), value=BACKGROUND_LEVEL)
            parent = nn.functional.pad(parent, (0, self.background.count), value=NO_PARENT)
        self.register_buffer("tree_level", level, persistent=False)
        self.register_buffer("tree_parent", parent, persistent=False)

    def _make_heads(self, level: int) -> Heads:
        config = self.config
        return Heads(
            config.channels[level],
            anchors=level < config.levels - 1 or level == 0,
            init=config.head_init,
            view_dependent=config.view_dependent_color,
            soft_clamp=config.soft_clamp,
        )

    def _assign_slots(self) -> None:
        counts = [TransformerBlock.style_slots * len(self.transformer)]
        counts += [level.style_slots for level in self.levels if isinstance(level, Level)]
        ends = [sum(counts[: i + 1]) for i in range(len(counts))]
        self.level_slots = tuple(range(end - count, end) for count, end in zip(counts, ends, strict=True))
        self.background_slot = ends[-1] if self.background is not None else None
        self.num_ws = ends[-1] + (self.background is not None)

    def map(
        self, z: Tensor, label: Tensor | None = None, psi: float = 1.0, cutoff: int | None = None,
        classes: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Latents to style vectors.

        Args:
            z: (B, z_dim) standard normal.
            label: (B, 25) EG3D camera labels for a pose-conditioned model (None: the frontal camera); others ignore it.
            psi: truncation, w ← w_avg + ψ (w − w_avg); with classes about the mean w of the class.
            cutoff: truncate only the first so many style slots.
            classes: (B, C) class vectors for a model with C class names; others take none.

        Returns:
            (B, w_dim), or (B, num_ws, w_dim) if ``cutoff`` is given.

        Raises:
            ShapeError: if z, the label or the class vectors have another size.
        """
        w: Tensor = self.mapping(z, label, classes)
        if cutoff is None:
            return self.mapping.truncate(w, psi, classes)
        ws = self.expand_ws(w)
        return torch.cat([self.mapping.truncate(ws[:, :cutoff], psi, classes), ws[:, cutoff:]], dim=1)

    def update_w_avg(self, w: Tensor) -> None:
        """Move the running mean of w towards the mean of ``w`` (B, w_dim); training calls it once a step."""
        self.mapping.update_w_avg(w)

    def expand_ws(self, w: Tensor) -> Tensor:
        """(B, w_dim) or (B, num_ws, w_dim) -> (B, num_ws, w_dim).

        Raises:
            ShapeError: for any other shape.
        """
        if w.ndim == 2 and w.shape[1] == self.config.w_dim:
            return w.unsqueeze(1).expand(-1, self.num_ws, -1)
        if w.shape[1:] != (self.num_ws, self.config.w_dim):
            raise ShapeError(
                f"w of shape {tuple(w.shape)}; expected (B, {self.config.w_dim}) or "
                f"(B, {self.num_ws}, {self.config.w_dim})"
            )
        return w

    def synthesize(self, w: Tensor, view_direction: Tensor | None = None, background: bool = True) -> GaussianHierarchy:
        """Style vectors to scenes.

        Args:
            w: (B, w_dim), or one for each style slot (B, num_ws, w_dim).
            view_direction: (B, 3) unit viewing directions in the world (the camera's forward axis), which only a
                model with view-dependent colour uses; None is the frontal camera's.
            background: whether to append the background Gaussians, if the model makes any.

        Returns:
            B scenes of the Gaussians of all levels, coarse to fine, then the background (level and parent -1);
            ``anchors`` are those of all levels but the last.

        Raises:
            ShapeError: for arguments of other shapes; outside training also if an output is not finite.
        """
        ws = self.expand_ws(w)
        gaussians, anchors = self._tree(ws, self._embed_view(view_direction, len(ws)))
        gaussians = [part.inside_box().without_needles(self.config.max_elongation) for part in gaussians]
        if background and self.background is not None:
            gaussians += self.background(ws[:, self.background_slot])
        return self._join(gaussians, self._join(anchors))

    def forward(
        self, z: Tensor, label: Tensor | None = None, view_direction: Tensor | None = None,
        classes: Tensor | None = None,
    ) -> GaussianHierarchy:  # fmt: skip
        """``synthesize(map(z, label, classes=classes), view_direction)``."""
        return self.synthesize(self.map(z, label, classes=classes), view_direction)

    def _tree(self, ws: Tensor, view: Tensor | None) -> tuple[list[Parameters], list[Parameters]]:
        """Gaussians and anchors (B, N_l, ·) of each level."""
        rows = self._raw_rows(ws, view)
        anchor, gaussian = self.densify.roots(next(rows))
        anchors, gaussians = [anchor], [gaussian]
        for index, raw in enumerate(rows, start=1):
            raw = raw.view(len(ws), -1, self.config.children, *raw.shape[2:])  # (B, P, r, S, 14)
            children = self.densify.offspring(raw, anchors[-1])
            gaussians.append(children.of_set(-1).flatten_children())
            if index < self.config.levels - 1:
                anchors.append(children.of_set(0).flatten_children())
        return gaussians, anchors

    def _raw_rows(self, ws: Tensor, view: Tensor | None) -> Iterator[Tensor]:
        """The heads' raw rows (B, N_l, S, 14) of each level; features at the configured precision."""
        x = self.embedding(len(ws))
        with self._autocast():
            for index, block in enumerate(self.transformer):
                x = block(x, ws[:, 2 * index : 2 * index + 2])
        yield self.heads[0](x, view)
        for index, level in enumerate(self.levels, start=1):
            slots = self.level_slots[index]
            with self._autocast():
                x = level(x, ws[:, slots.start : slots.stop])
            yield self.heads[index](x, view)

    def _autocast(self) -> torch.autocast:
        device = self.tree_level.device
        dtype = autocast_dtype(self.config.precision, device)
        return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)

    def _embed_view(self, view_direction: Tensor | None, batch: int) -> Tensor | None:
        if self.view_embedding is None:
            return None
        if view_direction is None:
            view_direction = torch.tensor(FRONTAL_VIEW, device=self.tree_level.device).expand(batch, 3)
        if view_direction.shape != (batch, 3):
            raise ShapeError(f"view_direction of shape {tuple(view_direction.shape)}; expected ({batch}, 3), like w")
        embedded: Tensor = self.view_embedding(view_direction)
        return embedded

    def _join(self, parts: list[Parameters], anchors: GaussianHierarchy | None = None) -> GaussianHierarchy:
        """One hierarchy of ``parts``: the first levels of the tree in order, then the background's if given."""
        rest = torch.cat([part.rest for part in parts], dim=1)  # (B, N, 8)
        count = rest.shape[1]
        color = rest[..., 4:7]
        if self.config.bounded_color:
            color = bound_dc(color)
        return GaussianHierarchy(
            means=torch.cat([part.means for part in parts], dim=1),
            log_scales=torch.cat([part.log_scales for part in parts], dim=1),
            quats=rest[..., :4],
            sh=color.unsqueeze(2),
            opacity_logits=rest[..., 7],
            level=self.tree_level[:count],
            parent=self.tree_parent[:count],
            anchors=anchors,
            check_finite=not self.training,
            check_forest=False,  # the tree is made in __init__, and a GPU would have to wait for the check
        )


def _make_tree(level_counts: tuple[int, ...], children: int) -> tuple[Tensor, Tensor]:
    """Level and parent (N,) of a complete tree whose levels follow each other, children of a parent consecutive."""
    levels, parents, start = [], [], 0
    for level, count in enumerate(level_counts):
        levels.append(torch.full((count,), level))
        if level == 0:
            parents.append(torch.full((count,), NO_PARENT))
        else:
            parents.append(start - level_counts[level - 1] + torch.arange(count) // children)
        start += count
    return torch.cat(levels), torch.cat(parents)
