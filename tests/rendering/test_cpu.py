"""What only the kernels promise: the same bits for any number of threads, and to run where threads and forks are."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from hgs_toolkit.errors import ShapeError
from hgs_toolkit.rendering import needs_compiling, rasterize, warm_up
from hgs_toolkit.rendering.cpu import jit


def assert_same_bits(first: Any, second: Any) -> None:
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.alpha, second.alpha)
    for name, grad in first.grads.items():
        assert torch.equal(grad, second.grads[name]), name


@pytest.mark.parametrize("options", [{}, {"rasterize_mode": "antialiased", "render_mode": "RGB+ED"}])
@pytest.mark.parametrize(("batch", "cameras", "channels"), [(1, 1, 3), (3, 2, 9)])
def test_one_two_and_five_threads_give_the_same_bits(
    studio: Any, batch: int, cameras: int, channels: int, options: dict[str, str]
) -> None:
    inputs = studio.scene(batch, 700, cameras, channels=channels)
    drawn = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        drawn.append(studio.draw(inputs, 70, 45, backend="cpu", **options))
    assert_same_bits(drawn[0], drawn[1])
    assert_same_bits(drawn[0], drawn[2])


def test_drawing_twice_gives_the_same_bits(studio: Any) -> None:
    inputs = studio.scene(gaussians=400)
    assert_same_bits(studio.draw(inputs, backend="cpu"), studio.draw(inputs, backend="cpu"))


def test_a_scene_in_a_batch_gives_the_bits_of_the_scene_alone(studio: Any) -> None:
    inputs = studio.scene(batch=3, gaussians=200)
    together = studio.draw(inputs, backend="cpu")
    for b in range(3):
        alone, _ = rasterize(**{k: v[b : b + 1] for k, v in inputs.items()}, width=40, height=24, backend="cpu")
        assert torch.equal(alone[0], together.image[b])


def test_channels_drawn_together_give_the_bits_of_each_drawn_alone(studio: Any) -> None:
    inputs = studio.scene(channels=11)
    together = studio.draw(inputs, backend="cpu")
    for k in range(11):
        one = inputs | {
            "colors": inputs["colors"][..., k : k + 1],
            "backgrounds": inputs["backgrounds"][..., k : k + 1],
        }
        assert torch.equal(studio.draw(one, backend="cpu").image, together.image[..., k : k + 1])


def test_strided_and_expanded_inputs_are_drawn_like_their_copies(studio: Any) -> None:
    inputs = studio.scene(batch=2, gaussians=50)
    inputs["viewmats"] = inputs["viewmats"][:1].expand(2, -1, -1, -1)
    inputs["means"] = torch.stack([inputs["means"], inputs["means"]], dim=-1)[..., 0]
    inputs["colors"] = inputs["colors"].mT.contiguous().mT
    plain = studio.draw({k: v.contiguous() for k, v in inputs.items()}, backend="cpu")
    image, alpha = rasterize(**inputs, width=40, height=24, backend="cpu")
    assert torch.equal(image, plain.image)
    assert torch.equal(alpha, plain.alpha)


def test_gradients_flow_from_the_image_alone_and_to_some_inputs_only(studio: Any) -> None:
    inputs = studio.scene()
    colors = inputs["colors"].clone().requires_grad_()
    image, _ = rasterize(**(inputs | {"colors": colors}), width=40, height=24, backend="cpu")
    image.square().mean().backward()
    assert colors.grad is not None
    assert colors.grad.any()


def test_a_second_derivative_is_refused(studio: Any) -> None:
    inputs = studio.scene()
    means = inputs["means"].clone().requires_grad_()
    image, _ = rasterize(**(inputs | {"means": means}), width=40, height=24, backend="cpu")
    (grad,) = torch.autograd.grad(image.square().sum(), means, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_every_kernel_is_compiled_once_whatever_is_drawn(studio: Any) -> None:
    for channels, options in (
        (1, {}),
        (3, {"render_mode": "ED"}),
        (6, {"radius_clip": 1, "near_plane": 1, "eps2d": 1}),
    ):
        studio.draw(studio.scene(channels=channels, gaussians=channels), backend="cpu", **options)
        studio.draw(studio.scene(gaussians=0, background=False), backend="cpu", **options)
    harmonics = {"colors": torch.rand(1, 120, 4, 3)}
    for degree, more in ((0, {}), (1, {"features": torch.rand(1, 120, 5)})):
        studio.draw(studio.scene() | harmonics, backend="cpu", sh_degree=degree, **more)
    assert jit.signature_counts() == dict.fromkeys(jit.signature_counts(), 1)


def test_nothing_is_left_to_compile_after_warming_up() -> None:
    warm_up()
    assert not needs_compiling()


def test_double_precision_is_refused_with_the_type_in_the_message(studio: Any) -> None:
    inputs = {name: value.double() for name, value in studio.scene().items()}
    with pytest.raises(ShapeError, match=r"torch\.float64"):
        rasterize(**inputs, width=40, height=24, backend="cpu")


def test_two_python_threads_draw_at_the_same_time(studio: Any) -> None:
    torch.set_num_threads(2)
    inputs = studio.scene(gaussians=400)
    expected = studio.draw(inputs, backend="cpu")
    drawn: list[Any] = []
    threads = [threading.Thread(target=lambda: drawn.append(studio.draw(inputs, backend="cpu"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 4
    for other in drawn:
        assert_same_bits(expected, other)


def draw_in_child(inputs: dict[str, Tensor], queue: Any) -> None:
    image, _ = rasterize(**inputs, width=40, height=24, backend="cpu")  # type: ignore[arg-type]
    queue.put(float(image.double().sum()))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_draws_after_its_parent_has_drawn(studio: Any) -> None:
    inputs = studio.scene(gaussians=300)
    torch.set_num_threads(2)
    expected = float(studio.draw(inputs, backend="cpu").image.double().sum())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=draw_in_child, args=(inputs, queue))
    child.start()
    assert queue.get(timeout=60) == expected
    child.join(timeout=60)
    assert child.exitcode == 0


def test_a_kernel_needs_compiling_until_its_code_is_in_the_cache_and_again_when_the_sources_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit, "_kernels", [])
    compiled = jit.kernel(add_one)
    assert jit.needs_compiling()
    compiled(0, 1, torch.zeros(1).numpy())
    assert not jit.needs_compiling()

    monkeypatch.setattr(jit, "_kernels", [])
    jit.kernel(add_one)
    assert not jit.needs_compiling(), "another process finds the code in the cache"

    source = tmp_path / "helper.py"
    source.write_text("changed = True")
    later = time.time() + 10
    os.utime(source, (later, later))
    monkeypatch.setattr(jit, "_SOURCES", [source])
    monkeypatch.setattr(jit, "_kernels", [])
    compiled = jit.kernel(add_one)
    assert jit.needs_compiling(), "a helper has changed since"
    before = {path.name for path in tmp_path.rglob("*.nb[ic]")}
    compiled(0, 1, torch.zeros(1).numpy())
    after = {path.name for path in tmp_path.rglob("*.nb[ic]")}
    assert len(before) == len(after) == 2
    assert not before & after, "code older than the sources goes"


def test_without_a_writable_cache_kernels_still_compile_and_say_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_cache(*_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(jit, "KernelCache", no_cache)
    monkeypatch.setattr(jit, "_kernels", [])
    with caplog.at_level(logging.WARNING):
        compiled = jit.kernel(add_one)
    assert "NUMBA_CACHE_DIR" in caplog.text
    value = torch.zeros(1).numpy()
    compiled(0, 1, value)
    assert value[0] == 1


def add_one(worker: int, workers: int, value: Any) -> None:
    value[0] += 1
