"""The search for latent, camera and weights, on a model's own pictures, which it can show exactly."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from hgs_toolkit.cameras import Cameras, from_yaw_pitch, frontal, yaw_pitch_radius
from hgs_toolkit.errors import ConfigError
from hgs_toolkit.inversion import latent
from hgs_toolkit.inversion.inversion import InversionSettings, draw_photographs, invert
from hgs_toolkit.inversion.latent import LatentSettings, fit_latent, learning_rate
from hgs_toolkit.inversion.objective import Objective
from hgs_toolkit.inversion.poses import CameraEstimate, angle_spread, estimate_camera
from hgs_toolkit.inversion.quality import psnr
from hgs_toolkit.inversion.target import Target
from hgs_toolkit.inversion.tuning import TuningSettings, tune
from hgs_toolkit.model.generator import Generator

SHORT = LatentSettings(steps=80, candidates=32)


def _quality(model: Generator, target: Target, settings: LatentSettings) -> float:
    found = invert(model, target, Objective(), InversionSettings(settings))
    return psnr(draw_photographs(found.scene, target, found.fit), target.over(found.fit.background))


def test_the_search_comes_close_to_a_picture_of_the_model_itself(model: Generator, target: Target) -> None:
    start = _quality(model, target, replace(SHORT, steps=1, rate=1e-9, candidates=0))
    found = _quality(model, target, replace(SHORT, steps=150, rate=0.2, pull=0.0, spread=0.0))
    assert found > 25
    assert found > start + 8


def test_w_plus_has_a_vector_for_every_slot_and_w_one_for_all(model: Generator, target: Target) -> None:
    few = replace(SHORT, steps=5)
    plus = fit_latent(model, target, Objective(), few).ws
    single = fit_latent(model, target, Objective(), replace(few, space="w")).ws
    assert plus.shape == single.shape == (1, model.num_ws, model.config.w_dim)
    assert not torch.equal(plus[:, 0], plus[:, 1])
    assert torch.equal(single[:, 0], single[:, 1])


def test_all_slots_move_together_at_first(model: Generator, target: Target) -> None:
    alone = fit_latent(model, target, Objective(), replace(SHORT, steps=5, shared=1.0))
    assert torch.equal(alone.ws[:, 0], alone.ws[:, 1])
    apart = fit_latent(model, target, Objective(), replace(SHORT, steps=5, shared=0.5))
    assert alone.losses[:3] == apart.losses[:3]
    assert not torch.equal(apart.ws[:, 0], apart.ws[:, 1])


def test_the_seed_decides_the_search(model: Generator, target: Target) -> None:
    few = replace(SHORT, steps=5)
    first, again = (fit_latent(model, target, Objective(), few) for _ in range(2))
    assert torch.equal(first.ws, again.ws)
    assert first.losses == again.losses


def test_the_search_draws_with_a_copy_for_inference_and_finds_the_same_bits(
    model: Generator, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(SHORT, steps=5, candidates=4)
    found = fit_latent(model, target, Objective(), few)
    used: list[Generator] = []

    def as_it_is(given: Generator) -> Generator:
        used.append(given)
        return given

    monkeypatch.setattr(latent, "for_inference", as_it_is)
    plain = fit_latent(model, target, Objective(), few)
    assert used == [model, model]  # for the candidates and for the steps
    assert torch.equal(found.ws, plain.ws)
    assert found.losses == plain.losses


def test_a_wrong_camera_is_corrected(model: Generator, target: Target) -> None:
    moved = target.seen_from(_turned(target.cameras, 0.15))
    fixed = fit_latent(model, moved, Objective(), replace(SHORT, steps=120, space="w"))
    refined = fit_latent(model, moved, Objective(), replace(SHORT, steps=120, space="w", refine_camera=True))
    assert refined.losses[-1] < fixed.losses[-1]
    torch.testing.assert_close(fixed.cameras.cam_to_world, moved.cameras.cam_to_world)


def test_an_unknown_camera_is_found_on_the_right_side(model: Generator, target: Target) -> None:
    estimate = estimate_camera(model, target.seen_from(frontal()), Objective(), LatentSettings())
    yaw, _, _ = yaw_pitch_radius(estimate.camera.cam_to_world)
    assert abs(float(yaw) - 0.3) < 0.2
    assert estimate.yaw == pytest.approx(math.degrees(float(yaw)), abs=1e-3)
    assert estimate.yaw_std > 0


def test_a_camera_is_sure_if_only_one_pose_fits() -> None:
    cameras = from_yaw_pitch(torch.tensor([-0.4, 0.0, 0.4]), torch.zeros(3))
    clear, vague = angle_spread(cameras, [3.0, 1.0, 3.0]), angle_spread(cameras, [1.0, 1.0, 1.0])
    assert clear[0] < 0.1 < 15 < vague[0]
    assert clear[1] < 1e-3
    one = cameras[1:2]
    assert CameraEstimate(one, 0.0, 0.0, *clear).is_sure
    assert not CameraEstimate(one, 0.0, 0.0, *vague).is_sure


def test_the_camera_of_several_photographs_must_be_known(model: Generator, target: Target) -> None:
    assert target.coverage is not None
    two = Target(
        target.colors.repeat(2, 1, 1, 1), target.coverage.repeat(2, 1, 1, 1), target.cameras.expand(2)
    )  # fmt: skip
    with pytest.raises(ConfigError, match="2 photographs"):
        invert(model, two, Objective(), InversionSettings(SHORT, estimate_camera=True))


def test_the_colour_behind_a_subject_of_unknown_coverage_is_learned(model: Generator, target: Target) -> None:
    blue = torch.tensor([0.1, 0.2, 0.8])
    photograph = Target(target.over(blue), None, target.cameras)
    fit = fit_latent(model, photograph, Objective(), SHORT)
    torch.testing.assert_close(fit.background, blue, atol=0.05, rtol=0)


def test_tuning_comes_closer_and_leaves_the_given_model_alone(model: Generator, target: Target) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit = fit_latent(model, target, Objective(), replace(SHORT, steps=10))
    tuned, losses = tune(model, target, fit, Objective(), TuningSettings(steps=40))
    assert losses[-1] < 0.7 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(
        torch.equal(value, before[name]) for name, value in tuned.state_dict().items() if name.startswith("mapping")
    )
    assert not any(parameter.requires_grad for parameter in tuned.parameters())


def test_held_views_drift_less(model: Generator, target: Target) -> None:
    fit = fit_latent(model, target, Objective(), replace(SHORT, steps=10))
    start = model.synthesize(fit.ws).means
    free, _ = tune(model, target, fit, Objective(), TuningSettings(steps=30, hold=0.0))
    held, _ = tune(model, target, fit, Objective(), TuningSettings(steps=30, hold=10.0))
    drift = [float((tuned.synthesize(fit.ws).means - start).abs().mean()) for tuned in (free, held)]
    assert drift[1] < drift[0]


def test_stages_report_every_step(model: Generator, target: Target) -> None:
    seen: list[tuple[str, int, int]] = []
    settings = InversionSettings(replace(SHORT, steps=3), TuningSettings(steps=2))
    found = invert(model, target, Objective(), settings, lambda name, step, steps, _: seen.append((name, step, steps)))
    assert seen == [("latent", 1, 3), ("latent", 2, 3), ("latent", 3, 3), ("tuning", 1, 2), ("tuning", 2, 2)]
    assert found.before is not None


def test_the_rate_rises_holds_and_ends_at_zero() -> None:
    rates = [learning_rate(step, 100) for step in range(100)]
    assert rates[0] < 0.3
    assert max(rates) == 1
    assert rates[-1] == 0


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="space"):
        LatentSettings(space="z")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="0 steps"):
        LatentSettings(steps=0)
    with pytest.raises(ConfigError, match="held"):
        TuningSettings(held_views=0)


def _turned(cameras: Cameras, angle: float) -> Cameras:
    from hgs_toolkit.inversion.camera_fit import AdjustableCameras

    adjusted = AdjustableCameras(cameras, refined=False)
    adjusted.correction.data[:, 0] = angle
    turned: Cameras = adjusted()
    return turned
