"""Finding and driving Blenders, with scripts in their place: what is started, and what their failures become."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hgs_toolkit.blender import Blender, check_archive, find_blender, find_blenders, install, open_in, package, programs
from hgs_toolkit.errors import FormatError, HgsError

MakeProgram = Callable[..., Path]

CODE = """
if sys.argv[1:] == ["--version"]:
    print("Read prefs: ...\\nBlender {version} LTS\\n\\tbuild date: ...")
else:
    with open(__file__ + ".log", "a") as log: log.write(json.dumps(sys.argv[1:]) + "\\n")
    {then}
"""


@pytest.fixture
def make_blender(make_program: MakeProgram) -> Callable[..., Path]:
    """``make_blender("4.5.3", then="sys.exit(1)")``: a program that says it is that Blender and logs its arguments."""

    def make(version: str, then: str = "pass", name: str = "blender") -> Path:
        return make_program(name, CODE.format(version=version, then=then))

    return make


@pytest.fixture(autouse=True)
def _no_real_blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HGS_BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "PLACES", {})


def calls(blender: Path) -> list[list[str]]:
    log = Path(f"{blender}.log")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def everywhere(monkeypatch: pytest.MonkeyPatch, *patterns: object) -> None:
    monkeypatch.setattr(programs, "PLACES", dict.fromkeys(("linux", "darwin", "win32"), tuple(map(str, patterns))))


def test_blenders_are_found_on_path_and_in_the_usual_places_newest_first(
    make_blender: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_blender("4.2.0", name="blender"), make_blender("5.2.3", name="blender-5.2")
    make_blender("4.5.15", name="blender-4.5")
    make_blender("4.5.15", "pass", name="blender-link").unlink()
    (old.parent / "blender-link").symlink_to(new)
    (old.parent / "blender-text").write_text("no program")
    monkeypatch.setenv("PATH", str(old.parent))
    everywhere(monkeypatch, old.parent / "blender-*")
    assert [blender.version_text for blender in find_blenders()] == ["5.2.3", "4.5.15", "4.2.0"]
    assert [blender.suits for blender in find_blenders()] == [True, True, False]
    assert find_blender().version == (5, 2, 3)


def test_a_named_blender_comes_before_the_environments_and_this_before_the_newest(
    make_blender: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = make_blender("5.2.3", name="newest")
    named, environments = make_blender("4.5.1", name="named"), make_blender("4.5.2", name="environments")
    everywhere(monkeypatch, newest)
    monkeypatch.setenv("HGS_BLENDER", str(environments))
    assert find_blender(named).version == (4, 5, 1)
    assert find_blender().version == (4, 5, 2)
    monkeypatch.delenv("HGS_BLENDER")
    assert find_blender().version == (5, 2, 3)


def test_no_blender_a_wrong_one_and_an_old_one_are_told(
    make_blender: Callable[..., Path], make_program: MakeProgram, tmp_path: Path
) -> None:
    with pytest.raises(HgsError, match=r"no Blender was found.*--blender"):
        find_blender()
    with pytest.raises(HgsError, match="nowhere is no Blender that can be run"):
        find_blender(tmp_path / "nowhere")
    with pytest.raises(HgsError, match="other is no Blender"):
        find_blender(make_program("other", "print('Other 4.5.3')"))
    with pytest.raises(HgsError, match=r"is Blender 3\.4\.1; the extension needs 4\.5\.0 or newer"):
        find_blender(make_blender("3.4.1"))


def test_install_asks_blenders_own_extension_command(make_blender: Callable[..., Path], tmp_path: Path) -> None:
    blender, archive = make_blender("4.5.3"), tmp_path / "an archive.zip"
    install(Blender(blender, (4, 5, 3)), archive)
    assert calls(blender) == [
        ["--command", "extension", "install-file", "--repo", "user_default", "--enable", str(archive)]
    ]


def test_what_blender_refuses_to_install_is_told_in_its_words(
    make_blender: Callable[..., Path], tmp_path: Path
) -> None:
    blender = make_blender("4.5.3", then="sys.exit('no such repository')")
    with pytest.raises(HgsError, match=r"refused .*a\.zip: no such repository"):
        install(Blender(blender, (4, 5, 3)), tmp_path / "a.zip")


def test_a_blender_checks_archives_where_one_is_given(make_blender: Callable[..., Path], tmp_path: Path) -> None:
    archive = package(tmp_path)
    blender = make_blender("4.5.3")
    assert check_archive(archive, Blender(blender, (4, 5, 3))) == "Blender 4.5.3"
    assert calls(blender) == [["--command", "extension", "validate", str(archive)]]
    strict = make_blender("4.5.3", then="sys.exit('FATAL: bad tag')", name="strict")
    with pytest.raises(FormatError, match=r"refuses .*FATAL: bad tag"):
        check_archive(archive, Blender(strict, (4, 5, 3)))


def test_opening_hands_the_path_over_as_an_argument_and_not_as_code(
    make_blender: Callable[..., Path], tmp_path: Path
) -> None:
    blender, asset = make_blender("4.5.3"), tmp_path / 'it\'s "one" $(asset).hgs'
    open_in(Blender(blender, (4, 5, 3)), "hgs_toolkit", asset)
    (call,) = calls(blender)
    assert call[-2:] == ["--", str(asset)]
    assert asset.name not in call[call.index("--python-expr") + 1]
    compile(call[call.index("--python-expr") + 1], "expression", "exec")
    failing = make_blender("4.5.3", then="sys.exit('the extension is not installed')", name="failing")
    with pytest.raises(HgsError, match=r"did not open .*the extension is not installed"):
        open_in(Blender(failing, (4, 5, 3)), "hgs_toolkit", asset)


def test_answers_that_never_come_are_not_waited_for(make_program: MakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "VERSION_SECONDS", 0.2)
    assert programs.ask_version(make_program("blender", "time.sleep(1000)")) is None
