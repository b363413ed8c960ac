"""Bad arguments are refused with the sizes that were given and expected."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.rendering import rasterize


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("means", (120, 3), r"means is \(120, 3\).*expected \(B, N, 3\)"),
        ("quats", (1, 120, 3), r"quats is \(1, 120, 3\); expected \(1, 120, 4\)"),
        ("scales", (1, 119, 3), r"scales is \(1, 119, 3\); expected \(1, 120, 3\)"),
        ("opacities", (1, 120, 1), r"opacities is \(1, 120, 1\); expected \(1, 120\)"),
        ("colors", (1, 7, 3), r"colors is \(1, 7, 3\); expected \(1, 120, D\)"),
        ("colors", (1, 120, 4, 3), "spherical harmonics need sh_degree"),
        ("viewmats", (1, 4, 4), r"viewmats \(1, 4, 4\)"),
        ("viewmats", (1, 0, 4, 4), "0 cameras; expected at least one"),
        ("Ks", (1, 2, 3, 3), r"Ks is \(1, 2, 3, 3\); expected \(1, 1, 3, 3\)"),
        ("features", (1, 2, 120, 5), r"features is \(1, 2, 120, 5\); expected \(1, 120, D\) or \(1, 1, 120, D\)"),
        ("backgrounds", (1, 3), r"backgrounds is \(1, 3\); expected \(1, 1, 3\)"),
    ],
)
def test_a_wrong_shape_is_named_with_the_expected_one(
    studio: Any, name: str, shape: tuple[int, ...], message: str
) -> None:
    inputs = studio.scene() | {name: torch.ones(shape)}
    with pytest.raises(ShapeError, match=message):
        rasterize(**inputs, width=8, height=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0; expected at least one pixel"),
        ({"height": -3}, "height is -3"),
        ({"near_plane": 0.0}, "near_plane is 0.0; expected a positive distance"),
        ({"render_mode": "BGR"}, "render_mode is 'BGR'; expected one of RGB, D, ED"),
        ({"rasterize_mode": "fast"}, "rasterize_mode is 'fast'; expected one of classic, antialiased"),
        ({"backend": "opengl"}, "backend is 'opengl'; expected one of auto, gsplat, cpu, torch"),
    ],
)
def test_an_unknown_option_lists_the_known_ones(studio: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        rasterize(**studio.scene(), **({"width": 8, "height": 8} | options))


def test_mixed_types_are_refused(studio: Any) -> None:
    inputs = studio.scene()
    with pytest.raises(ShapeError, match=r"quats is torch\.float64.*means is torch\.float32"):
        rasterize(**(inputs | {"quats": inputs["quats"].double()}), width=8, height=8)


def test_half_precision_is_refused_in_place_of_a_slow_or_coarse_image(studio: Any) -> None:
    inputs = {name: value.bfloat16() for name, value in studio.scene().items()}
    with pytest.raises(ShapeError, match=r"means is torch\.bfloat16; expected torch\.float32"):
        rasterize(**inputs, width=8, height=8)


@pytest.mark.parametrize(("degree", "bases"), [(1, 1), (3, 9)])
def test_too_few_harmonics_for_the_degree_are_refused(studio: Any, degree: int, bases: int) -> None:
    inputs = studio.scene() | {"colors": torch.zeros(1, 120, bases, 3)}
    with pytest.raises(ShapeError, match=rf"K >= {(degree + 1) ** 2} for sh_degree {degree}"):
        rasterize(**inputs, width=8, height=8, sh_degree=degree)


def test_a_degree_above_three_is_refused(studio: Any) -> None:
    inputs = studio.scene() | {"colors": torch.zeros(1, 120, 25, 3)}
    with pytest.raises(ShapeError, match="sh_degree is 4; expected 0 to 3"):
        rasterize(**inputs, width=8, height=8, sh_degree=4)
