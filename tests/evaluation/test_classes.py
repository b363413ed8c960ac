"""Kernel distances by class: a model's own images under their labels, and under wrong ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hgs_toolkit.cameras import frontal
from hgs_toolkit.checkpoint import save_model
from hgs_toolkit.config import ClassPrior, Config
from hgs_toolkit.datasets.eg3d_writer import open_writer
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.evaluation import EvalSettings, evaluate
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.training.grids import drawn_chunks

EACH = 20
"""Number of real images of a class."""

PSI = 0.1
"""Truncation at which the scenes of an untrained model's class resemble each other more than those of the other."""


@pytest.fixture
def model_file(class_model: Generator, class_config: Config, tmp_path: Path) -> Path:
    """A model whose scenes look different, near the averages of its classes."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in class_model.named_parameters():
        if name.endswith("style.weight"):
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    path = tmp_path / "classes.safetensors"
    save_model(path, class_model, class_config)
    return path


def own_images(model: Generator, config: Config, path: Path, labelled_as: dict[str, str]) -> Path:
    """A set of the model's own scenes of every class, each labelled as another one or truly."""
    names = model.config.classes.names
    latents = torch.randn(EACH, model.config.z_dim, generator=torch.Generator().manual_seed(1))
    camera = frontal(model.config.poses.focal, model.config.poses.radius)
    with open_writer(path) as writer:
        writer.class_names = names
        for made, said in labelled_as.items():
            vectors = torch.from_numpy(model.config.classes.parse(made)).expand(EACH, -1)
            cameras = camera.expand(EACH)
            for images in drawn_chunks(model, config, latents, cameras, cameras, psi=PSI, classes=vectors):
                for pixels in (255 * images).round().to(torch.uint8).numpy():
                    writer.add(pixels, camera.labels[0].numpy(), names.index(said))
    return path


def distances(model: Path, data: Path) -> dict[str, float]:
    settings = EvalSettings(("classes",), 2 * EACH, psi=PSI, extractors=("randconv",))
    return {figure.name: figure.value for figure in evaluate(model, data, settings, device="cpu").figures}


def test_each_class_is_nearer_to_its_own_images_than_the_others_are(
    model_file: Path, class_model: Generator, class_config: Config, tmp_path: Path
) -> None:
    truly, wrongly = {"chair": "chair", "table": "table"}, {"chair": "table", "table": "chair"}
    true = distances(model_file, own_images(class_model, class_config, tmp_path / "true", truly))
    assert set(true) == {
        "kid_randconv[chair]", "kid_randconv[table]", "kid_randconv_others[chair]", "kid_randconv_others[table]",
    }  # fmt: skip
    wrong = distances(model_file, own_images(class_model, class_config, tmp_path / "wrong", wrongly))
    for name in ("chair", "table"):
        assert abs(true[f"kid_randconv[{name}]"]) < 0.1 * true[f"kid_randconv_others[{name}]"]
        assert wrong[f"kid_randconv[{name}]"] > wrong[f"kid_randconv_others[{name}]"]


def test_a_set_of_other_classes_is_refused_by_name(
    model_file: Path, class_model: Generator, class_config: Config, tmp_path: Path
) -> None:
    data = own_images(class_model, class_config, tmp_path / "set", {"chair": "chair", "table": "table"})
    other = replace(class_config, generator=replace(class_config.generator, classes=ClassPrior(("cup", "pot"))))
    save_model(tmp_path / "other.safetensors", class_model, other)
    with pytest.raises(ConfigError, match="the model has the classes cup, pot, set has the classes chair, table"):
        distances(tmp_path / "other.safetensors", data)
