"""The classes that Blender's *Generate* offers: read from a model's header, and told to ``hgs sample``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from blender_addon.core.toolkit.batches import sample_command
from blender_addon.core.toolkit.class_names import class_names
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.model.generator import Generator

ATTRIBUTES = ClassPrior(("long", "hat"), ((1.0, 0.0), (1.0, 1.0), (0.0, 0.5), (0.0, 0.0)))


@pytest.mark.parametrize("classes", [ClassPrior(("chair", "table")), ATTRIBUTES], ids=["plain", "attributes"])
def test_the_names_offered_are_those_the_toolkit_understands(
    classes: ClassPrior, class_model: Generator, class_config: Config, tmp_path: Path
) -> None:
    config = replace(class_config, generator=replace(class_config.generator, classes=classes))
    save_model(tmp_path / "model.safetensors", class_model, config)
    assert class_names(str(tmp_path)) == class_names(str(tmp_path / "model.safetensors")) == classes.texts
    for name, vector in zip(class_names(str(tmp_path)), classes.table, strict=True):
        assert classes.parse(name).tolist() == vector.tolist()


def test_a_retrained_model_offers_its_new_classes(
    class_model: Generator, class_config: Config, tiny_model: Generator, tiny_config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, class_model, class_config)
    assert class_names(str(path)) == ("chair", "table")
    save_model(path, tiny_model, tiny_config)
    assert class_names(str(path)) == ()


@pytest.mark.parametrize(
    "content", [b"", b"no header", b"\xff" * 16, b"\x02" + bytes(7) + b"{}", b"\x02" + bytes(7) + b"[]"]
)
def test_a_file_that_is_no_model_offers_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    assert class_names(str(tmp_path / "a.safetensors")) == ()
    assert class_names(str(tmp_path / "missing")) == ()
    assert class_names("") == ()


def test_the_class_is_told_to_the_program_only_where_one_is_chosen(tmp_path: Path) -> None:
    order = partial(sample_command, "hgs", tmp_path, seeds="0-3", psi=0.7)
    assert "--class=floppy+hat" in order(kind="floppy+hat")
    assert not any(word.startswith("--class") for word in order())
