from __future__ import annotations

import math

import pytest
import torch

from hgs_toolkit.config import GeneratorConfig, LevelBlock
from hgs_toolkit.model import layers
from hgs_toolkit.model.attention import TransformerBlock
from hgs_toolkit.model.embedding import PointEmbedding
from hgs_toolkit.model.level import Level, SubpixelUpsampling


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def make_level(kind: LevelBlock, channels: tuple[int, int] = (8, 6)) -> Level:
    level = Level(GeneratorConfig(w_dim=5, points=32, channels=channels, level_blocks=(kind,), neighbors=4, heads=2), 1)
    for parameter in level.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return level


@pytest.mark.parametrize("channels", [(8, 6), (8, 8)])
def test_subpixel_upsampling_is_its_formula(channels: tuple[int, int]) -> None:
    up = SubpixelUpsampling(*channels, 4)
    x = torch.randn(2, 3, 8)
    skip = x if up.skip is None else up.skip(x)
    expected = (skip[:, :, None] + up.subpixel(x).view(2, 3, 4, -1)) / math.sqrt(2)
    torch.testing.assert_close(up(x), expected.flatten(1, 2))


@pytest.mark.parametrize(("kind", "slots"), [("adaptive", 2), ("local", 0), ("adain", 1)])
def test_every_kind_makes_four_children_and_takes_its_styles(kind: LevelBlock, slots: int) -> None:
    level = make_level(kind)
    assert level.style_slots == slots
    assert level(torch.randn(2, 32, 8), torch.randn(2, slots, 5)).shape == (2, 128, 6)


@pytest.mark.parametrize("kind", ["adaptive", "local", "adain"])
def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch, kind: LevelBlock) -> None:
    level = make_level(kind)
    x, w = torch.randn(2, 32, 8), torch.randn(2, level.style_slots, 5)
    whole = level(x, w)
    monkeypatch.setattr(layers, "PIECE", 700)
    torch.testing.assert_close(level(x, w), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["adaptive", "local", "adain"])
def test_scenes_of_a_batch_do_not_see_each_other(kind: LevelBlock) -> None:
    level = make_level(kind)
    x, w = torch.randn(3, 32, 8), torch.randn(3, level.style_slots, 5)
    alone = torch.cat([level(x[i : i + 1], w[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(level(x, w), alone, atol=1e-5, rtol=1e-5)


def test_a_local_level_sees_no_further_than_the_siblings() -> None:
    level = make_level("local")
    x = torch.randn(1, 8, 8)
    changed = x.clone()
    changed[:, 4:] += 1.0
    difference = level(changed, torch.zeros(1, 0, 5)) - level(x, torch.zeros(1, 0, 5))
    assert torch.equal(difference[:, :16], torch.zeros(1, 16, 6))
    assert (difference[:, 16:].abs().amax(-1) > 0).all()


def test_the_transformer_treats_points_alike_and_starts_as_the_identity() -> None:
    block = TransformerBlock(8, 2, 5)
    x, w, order = torch.randn(2, 9, 8), torch.randn(2, 2, 5), torch.randperm(9)
    assert torch.equal(block(x, w), x)
    for parameter in block.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    torch.testing.assert_close(block(x[:, order], w), block(x, w)[:, order], atol=1e-5, rtol=1e-5)


def test_attention_is_the_softmax_of_scaled_products() -> None:
    attention = TransformerBlock(8, 2, 5).attention
    x = torch.randn(1, 7, 8)
    heads = []
    for qkv in attention.qkv(x).view(1, 7, 2, 12).unbind(2):
        query, key, value = qkv.chunk(3, dim=-1)
        heads.append((query @ key.mT / math.sqrt(4)).softmax(-1) @ value)
    torch.testing.assert_close(attention(x), attention.project(torch.cat(heads, -1)))


def test_the_embedding_tells_points_apart() -> None:
    embedding = PointEmbedding(64, 32)(2)
    assert embedding.shape == (2, 64, 32)
    assert (torch.cdist(embedding[0], embedding[0]) + 10 * torch.eye(64)).min() > 1.0
