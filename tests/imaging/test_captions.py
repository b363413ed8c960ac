"""Words on pictures."""

from __future__ import annotations

import pytest
import torch

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.imaging.captions import GAP, caption, font_height, labelled_sheet


def test_a_caption_changes_its_corner_only() -> None:
    picture = torch.full((128, 128, 3), 0.5)
    written = caption(picture, "level 3")
    changed = (written - picture).abs().amax(-1) > 0.1
    rows, columns = changed.nonzero().unbind(-1)
    assert rows.min() > 100
    assert columns.max() < 64
    assert written[changed].min() < 0.3


def test_a_sheet_keeps_every_picture_and_names_rows_and_columns() -> None:
    pictures = torch.rand(6, 60, 60, 3, generator=torch.Generator().manual_seed(0))
    page = labelled_sheet([list(pictures[:3]), list(pictures[3:])], ["first", "second"], ["a", "b", "c"])
    top = 2 * font_height(60)
    side = page.shape[1] - 3 * 60 - 2 * GAP
    assert page.shape[0] == top + 2 * 60 + GAP
    for index, picture in enumerate(pictures):
        row, column = divmod(index, 3)
        y, x = top + row * (60 + GAP), side + column * (60 + GAP)
        assert torch.equal(page[y : y + 60, x : x + 60], picture)
    for band in (page[:top, side : side + 60], page[top : top + 60, :side], page[top + 62 :, :side]):
        assert band.min() < 0.5  # something is written there
    assert (page[:top, :side] == 1).all()


def test_no_names_take_no_room_and_long_ones_become_smaller() -> None:
    picture = torch.zeros(40, 40, 3)
    assert labelled_sheet([[picture]], [""], [""]).shape == (40, 40, 3)
    page = labelled_sheet([[picture]], [""], ["a heading that is far too long"])
    assert page.shape[1] == 40


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected one for each row and column"):
        labelled_sheet([[torch.zeros(4, 4, 3)]], ["a"], ["b", "c"])
