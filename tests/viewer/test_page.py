"""The shared page as a file; tests/browser looks at it in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hgs_toolkit.asset import Asset, AssetMetadata, save_asset
from hgs_toolkit.cli.main import app
from hgs_toolkit.exporters.table import export
from hgs_toolkit.gaussians import GaussianHierarchy
from hgs_toolkit.viewer.page import PageSettings, make_page

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    save_asset("a.hgs", Asset(scene, AssetMetadata(generator="tiny", focal=1.5, radius=2.5)))
    return lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def facts_of(page: str) -> dict[str, object]:
    found = re.search(r'id="facts">(.*?)</script>', page, re.S)
    assert found is not None
    facts: dict[str, object] = json.loads(found[1])
    return facts


class Addresses(HTMLParser):
    """What a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_a_page_names_nothing_to_load_and_forbids_it(scene: GaussianHierarchy) -> None:
    page = make_page(scene)
    parser = Addresses()
    parser.feed(page)
    assert parser.found == ["data:,"]
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_knows_its_levels_and_its_camera(scene: GaussianHierarchy) -> None:
    facts = facts_of(make_page(scene, PageSettings("t", focal=1.5, radius=2.5)))
    levels = facts["levels"]
    assert isinstance(levels, list)
    assert [(entry["level"], entry["count"]) for entry in levels] == [(0, 4), (1, 16), (2, 64), (-1, 5)]
    assert facts["view"] == {
        "focal": 1.5,
        "radius": 2.5,
        "center": [0, 0, 0],
        "yaw": 0,
        "pitch": 0,
        "background": [0, 0, 0],
    }


def test_zoom_enlarges_as_it_does_in_an_image(scene: GaussianHierarchy) -> None:
    view = facts_of(make_page(scene, PageSettings("t", focal=1.5, radius=2.5, zoom=4)))["view"]
    assert isinstance(view, dict)
    assert (view["focal"], view["radius"]) == (6, 2.5)


def test_titles_cannot_end_their_elements(scene: GaussianHierarchy) -> None:
    page = make_page(scene, PageSettings("@@BLOCK@@</script><script>alert(1)</script>"))
    assert "<script>alert" not in page
    assert facts_of(page)["title"] == "@@BLOCK@@</script><script>alert(1)</script>"


def test_equal_scenes_give_equal_pages(scene: GaussianHierarchy) -> None:
    assert make_page(scene) == make_page(scene)


def test_share_writes_one_page(run: Run, tmp_path: Path) -> None:
    result = run("share", "a.hgs", "page.html", "--title", "Critter", "--levels", "0-1", "--background", "white")
    assert result.exit_code == 0, result.output
    facts = facts_of(Path("page.html").read_text())
    assert facts["title"] == "Critter"
    assert facts["count"] == 4 + 16 + 5
    assert facts["view"] == {
        "focal": 1.5,
        "radius": 2.5,
        "center": [0, 0, 0],
        "yaw": 0,
        "pitch": 0,
        "background": [1, 1, 1],
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hgs", "page.html"]


def test_a_page_without_a_title_has_the_files_name_and_not_its_folder(run: Run, tmp_path: Path) -> None:
    assert run("share", str(tmp_path / "a.hgs"), "page.html").exit_code == 0
    page = (tmp_path / "page.html").read_text()
    assert "<title>a.hgs</title>" in page
    assert str(tmp_path) not in page


def test_share_frames_files_of_other_programs_where_they_lie(run: Run, scene: GaussianHierarchy) -> None:
    export(scene.replace(means=scene.means + 100), "b.ply")
    assert run("share", "b.ply", "page.html").exit_code == 0
    view = facts_of(Path("page.html").read_text())["view"]
    assert isinstance(view, dict)
    assert view["center"] == pytest.approx([100, 100, 100], abs=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.hgs", "page.png"), "page.png has the suffix '.png'; expected .html"),
        (("a.hgs", "p.html", "--background", "transparent"), "a page has no transparency"),
        (("a.hgs", "p.html", "--levels", "9"), "no Gaussian has a level of [9]"),
        (("missing.hgs", "p.html"), "missing.hgs does not exist"),
        (("a.hgs", "there.html"), "there.html exists already; add --force"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path
) -> None:
    Path("there.html").write_text("mine")
    before = sorted(tmp_path.iterdir())
    result = run("share", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert Path("there.html").read_text() == "mine"
