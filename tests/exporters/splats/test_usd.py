"""OpenUSD files: what a stage says, levels of detail as variants, other programs' stages, what is refused."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hgs_toolkit.errors import FormatError, HgsError, MissingExtraError
from hgs_toolkit.exporters.table import export, load
from hgs_toolkit.gaussians import GaussianHierarchy

pxr = pytest.importorskip("pxr", reason="needs usd-core: pip install 'hgs_toolkit[usd]'")

from pxr import Usd, UsdValidation  # noqa: E402

SceneFactory = Callable[..., GaussianHierarchy]


def prim_of(path: Path) -> Any:
    """A stage, which must outlive its prims, and its default prim."""
    stage = Usd.Stage.Open(str(path))
    return stage, stage.GetDefaultPrim()


def stage_text(prims: str, header: str = "") -> str:
    return f'#usda 1.0\n(\n    upAxis = "Y"\n{header})\n{prims}'


FIELD = """def ParticleField3DGaussianSplat "g" {
    point3f[] positions = [(1, 2, 3)]
    quatf[] orientations = [(1, 0, 0, 0)]
    float3[] scales = [(1, 1, 2)]
    float[] opacities = [0.5]
    uniform int radiance:sphericalHarmonicsDegree = 0
    float3[] radiance:sphericalHarmonicsCoefficients = [(0.1, 0.2, 0.3)]
"""


@pytest.mark.parametrize("suffix", [".usdc", ".usda"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_scene_comes_back(suffix: str, degree: int, tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory(degree=degree)
    export(scene, tmp_path / f"a{suffix}")
    loaded = load(tmp_path / f"a{suffix}")
    assert torch.equal(loaded.means, scene.means)
    assert torch.equal(loaded.sh, scene.sh)
    torch.testing.assert_close(loaded.log_scales, scene.log_scales, atol=1e-6, rtol=0)
    torch.testing.assert_close(loaded.opacity_logits, scene.opacity_logits, atol=2e-6, rtol=1e-6)
    torch.testing.assert_close(loaded.quats, torch.nn.functional.normalize(scene.quats, dim=-1))


def test_a_stage_says_what_the_schema_wants(tmp_path: Path, scene_factory: SceneFactory) -> None:
    scene = scene_factory(degree=1)
    export(scene, tmp_path / "a.usdc")
    _stage, prim = prim_of(tmp_path / "a.usdc")
    assert prim.GetTypeName() == "ParticleField3DGaussianSplat"
    assert prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get() == 1
    np.testing.assert_allclose(prim.GetAttribute("scales").Get(), scene.log_scales[0].exp(), rtol=1e-6)
    coefficients = np.array(prim.GetAttribute("radiance:sphericalHarmonicsCoefficients").Get())
    np.testing.assert_array_equal(coefficients.reshape(-1, 4, 3), scene.sh[0])  # grouped by Gaussian
    real = prim.GetAttribute("orientations").Get()[0].GetReal()
    assert real == pytest.approx(float(torch.nn.functional.normalize(scene.quats[0, 0], dim=-1)[0]), abs=1e-6)
    low, high = np.array(prim.GetAttribute("extent").Get())
    assert (low < scene.means[0].amin(0).numpy()).all()
    assert (high > scene.means[0].amax(0).numpy()).all()


@pytest.mark.parametrize("lods", [False, True])
@pytest.mark.parametrize("suffix", [".usdc", ".usda"])
def test_usds_validators_find_nothing(suffix: str, lods: bool, tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / f"a{suffix}", lods=lods)
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    stage, _ = prim_of(tmp_path / f"a{suffix}")
    assert [error.GetMessage() for error in UsdValidation.ValidationContext(validators).Validate(stage)] == []


def test_levels_of_detail_are_variants_and_the_finest_is_chosen(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.usdc", lods=True)
    _stage, prim = prim_of(tmp_path / "a.usdc")
    variants = prim.GetVariantSet("LOD")
    assert variants.GetVariantNames() == ["levels_0_0", "levels_0_1", "levels_0_2"]
    assert variants.GetVariantSelection() == "levels_0_2"
    for name, count in (("levels_0_0", 9), ("levels_0_1", 25), ("levels_0_2", 89)):
        variants.SetVariantSelection(name)
        assert len(prim.GetAttribute("positions").Get()) == count
    assert load(tmp_path / "a.usdc").num_gaussians == 89


def test_prims_are_placed_and_z_up_becomes_y_up(tmp_path: Path) -> None:
    text = f"""def Xform "x" {{
        double3 xformOp:translate = (0, 0, 5)
        double3 xformOp:scale = (2, 2, 2)
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:scale"]
        {FIELD}}}
    }}"""
    (tmp_path / "a.usda").write_text(stage_text(text).replace('"Y"', '"Z"'))
    loaded = load(tmp_path / "a.usda")
    torch.testing.assert_close(loaded.means, torch.tensor([[[2.0, 11.0, -4.0]]]))  # (x, z, -y)
    torch.testing.assert_close(loaded.log_scales[0, 0].exp(), torch.tensor([2.0, 2.0, 4.0]))


def test_copies_of_one_prim_are_all_read(tmp_path: Path) -> None:
    """USD keeps what instances share once, where a plain walk does not find it."""
    copies = "".join(
        f"""def Xform "copy{shift}" (instanceable = true
        prepend references = </original>)
        {{
            double3 xformOp:translate = ({shift}, 0, 0)
            uniform token[] xformOpOrder = ["xformOp:translate"]
        }}
        """
        for shift in (10, 20)
    )
    (tmp_path / "a.usda").write_text(stage_text(f'def Xform "original" {{\n{FIELD}}}\n}}\n{copies}'))
    assert sorted(load(tmp_path / "a.usda").means[0, :, 0].tolist()) == [1, 11, 21]


def test_half_precision_is_read(tmp_path: Path) -> None:
    text = FIELD.replace("point3f[] positions", "point3h[] positionsh").replace("float3[] scales", "half3[] scalesh")
    (tmp_path / "a.usda").write_text(stage_text(text + "}"))
    assert load(tmp_path / "a.usda").means[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (stage_text('def Sphere "s" {}'), "has no prim of type ParticleField3DGaussianSplat"),
        (stage_text(FIELD.replace("[0.5]", "[0.5, 0.5]") + "}"), "arrays have different lengths: 1, 1, 1, 2, 1"),
        (stage_text(FIELD.replace("Degree = 0", "Degree = 3") + "}"), "different lengths"),
        (stage_text(FIELD.replace("Degree = 0", "Degree = 7") + "}"), "of degree 7; expected 0 to 3"),
        (stage_text(FIELD.replace("(1, 1, 2)", "(nan, 1, 2)") + "}"), "1 in log_scales"),
        (stage_text(FIELD.replace("float[] opacities = [0.5]", "") + "}"), "lacks 'opacities'"),
        (stage_text(FIELD + "}", "    subLayers = [@/etc/passwd@]\n"), "refers to other files"),
        (stage_text('def "r" (references = @x.usda@</g>) {}'), "refers to other files"),
        ("#usda 1.0\n(", "not a readable USD file"),
        ("not usd", "not a readable USD file"),
    ],
)
def test_a_stage_that_is_not_enough_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.usda").write_text(text)
    with pytest.raises(FormatError, match=rf"a\.usda: .*{message}"):
        load(tmp_path / "a.usda")


def test_a_truncated_file_is_refused(tmp_path: Path, scene: GaussianHierarchy) -> None:
    export(scene, tmp_path / "a.usdc")
    (tmp_path / "a.usdc").write_bytes((tmp_path / "a.usdc").read_bytes()[:2000])
    with pytest.raises(FormatError, match=r"a\.usdc: it is not a readable USD file"):
        load(tmp_path / "a.usdc")


def test_a_missing_package_is_named_with_its_command(
    tmp_path: Path, scene: GaussianHierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("pxr"):
            raise ImportError(name)
        return plain(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'hgs_toolkit\[usd\]'"):
        export(scene, tmp_path / "a.usdc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
            HgsError,
            r"ended from outside \(SIGTERM\); try again",
        ),
        ("import os; os.abort()", FormatError, "USD itself failed on it"),
        ("print(end='PK')", FormatError, "USD itself failed on it"),
        ("", FormatError, r"USD itself failed on it \(status 0\)"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_reading_that_ends_early_says_whose_fault_it_is(
    program: str, kind: type[HgsError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.usda").write_text(stage_text(FIELD + "}"))
    (tmp_path / "child.py").write_text(program)
    monkeypatch.setattr("hgs_toolkit.exporters.splats.usd.usd_child.__file__", str(tmp_path / "child.py"))
    with pytest.raises(HgsError, match=rf"a\.usda.*{message}") as caught:
        load(tmp_path / "a.usda")
    assert type(caught.value) is kind
