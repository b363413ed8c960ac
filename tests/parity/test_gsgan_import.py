"""Snapshots of the authors are imported without running anything of them; hostile and broken ones end in one error."""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hgs_toolkit.cameras import Cameras, from_yaw_pitch
from hgs_toolkit.config import GeneratorConfig, LevelBlock
from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.gsgan import snapshot
from hgs_toolkit.gsgan.snapshot import ImportedCheckpoint, import_gsgan
from hgs_toolkit.gsgan.weights import generator_state
from hgs_toolkit.model.bounded import build_within
from hgs_toolkit.model.discriminator import make_discriminator
from hgs_toolkit.model.generator import Generator
from hgs_toolkit.rendering import render
from hgs_toolkit.training.grids import drawn_chunks
from tests.parity import lookalike
from tests.parity.reference_weights import reference_shapes
from tests.parity.snapshots import SMALL, STATES, small_snapshot, write


class Hostile:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_the_lookalike_has_the_layout_of_the_authors_networks() -> None:
    assert lookalike.generator_shapes(GeneratorConfig()) == reference_shapes(discriminator=False)
    theirs = {name.removeprefix("D."): shape for name, shape in reference_shapes(discriminator=True).items()}
    assert lookalike.discriminator_shapes(64) == theirs


def test_the_configuration_is_inferred_from_the_shapes(imported: ImportedCheckpoint) -> None:
    found = imported.config.generator
    names = [
        "resolution", "z_dim", "w_dim", "mapping_layers", "points", "children", "channels", "level_blocks",
        "transformer_blocks", "background", "background_points", "background_channels", "pose_conditioned",
        "view_dependent_color",
    ]  # fmt: skip
    assert {name: getattr(found, name) for name in names} == {name: getattr(SMALL, name) for name in names}
    assert imported.config.discriminator.channel_max == 16


def test_the_render_focal_and_the_label_focal_are_recorded(imported: ImportedCheckpoint) -> None:
    assert imported.config.generator.render_focal == pytest.approx(2.507573)
    assert imported.config.generator.poses.focal == 4.2647


@pytest.mark.parametrize(
    "name",
    [
        "point_gen.scale_init", "point_gen.scale_threshold", "point_gen.rotation_init", "point_gen.color_init",
        "point_gen_bg.scale_init", "point_gen_bg.scale_threshold", "b16.conv1.resample_filter",
    ],
)  # fmt: skip
def test_constants_that_differ_are_refused_by_name(tmp_path: Path, name: str) -> None:
    states = {kind: dict(state) for kind, state in STATES.items()}
    for state in states.values():
        if name in state:
            state[name] = state[name] * 1.1 + 0.01
    path = write(tmp_path / "a.pkl", lambda: lookalike.snapshot(states["G"], states["G_ema"], states["D"]))
    with pytest.raises(CheckpointError, match=f"constant '{name}' is .*; expected"):
        import_gsgan(path)


def test_the_initial_opacity_is_taken_from_the_file(tmp_path: Path) -> None:
    states = {kind: dict(state) for kind, state in STATES.items()}
    for kind in ("G", "G_ema"):
        for prefix in ("point_gen", "point_gen_bg"):
            states[kind][f"{prefix}.opacity_init"] = torch.full_like(states[kind][f"{prefix}.opacity_init"], -1.5)
    path = write(tmp_path / "a.pkl", lambda: lookalike.snapshot(states["G"], states["G_ema"], states["D"]))
    assert import_gsgan(path).config.generator.initial_opacity_logit == -1.5


def test_a_refusal_of_tensor_data_gives_no_advice_to_read_it_unsafely(tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save(nn.Linear(1, 1), content, _use_new_zipfile_serialization=False)

    class Storage:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch.storage._load_from_bytes, (content.getvalue(),)

    with pytest.raises(CheckpointError, match="the file was refused") as caught:
        import_gsgan(write(tmp_path / "a.pkl", planted(Storage, "top")))
    assert "weights_only" not in str(caught.value)
    assert "trust" not in str(caught.value)


def test_bytes_after_the_end_are_refused(snapshot_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(snapshot_file.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match="4 bytes follow the pickle's end"):
        import_gsgan(path)


def test_the_mirrored_translation_is_recorded_and_drawn_with(imported: ImportedCheckpoint) -> None:
    """A camera that looks at the pivot (0, 0, 0.2) is moved as the authors' renderer moved it; an orbit is not."""
    config = imported.config.generator
    assert config.mirrored_x
    yaw = torch.tensor([0.4])
    orbiting = from_yaw_pitch(yaw, torch.tensor([0.1]), 2.7, 4.2647)
    matrix = orbiting.cam_to_world.clone()
    matrix[:, :3, 3] += torch.tensor([0.0, 0.0, 0.2])
    labelled = Cameras(matrix, orbiting.intrinsics)
    drawn, wanted = config.render_cameras(labelled).viewmats, labelled.viewmats.clone()
    assert abs(float(wanted[0, 0, 3])) == pytest.approx(0.2 * math.sin(0.4), abs=1e-5)
    wanted[:, 0, 3] *= -1
    torch.testing.assert_close(drawn, wanted)
    torch.testing.assert_close(config.label_cameras(config.render_cameras(labelled)).labels, labelled.labels)
    torch.testing.assert_close(config.render_cameras(orbiting).cam_to_world, orbiting.cam_to_world)
    assert float(config.render_cameras(labelled).intrinsics[0, 0, 0]) == pytest.approx(2.507573)


def test_a_model_is_evaluated_from_mirrored_cameras_and_told_the_labels(imported: ImportedCheckpoint) -> None:
    config = imported.config
    with torch.random.fork_rng(devices=[]):
        model = Generator(config.generator).eval().requires_grad_(False)
    model.load_state_dict({name: value * 0.1 for name, value in imported.ema_state.items()})
    orbiting = from_yaw_pitch(torch.tensor([0.4]), torch.tensor([0.1]), 2.7, 4.2647)
    matrix = orbiting.cam_to_world.clone()
    matrix[:, :3, 3] += torch.tensor([0.0, 0.0, 0.2])
    labelled = Cameras(matrix, orbiting.intrinsics)
    latents = torch.randn(1, config.generator.z_dim, generator=torch.Generator().manual_seed(0))
    (found,) = drawn_chunks(model, config, latents, labelled, labelled)
    with torch.inference_mode():
        scene = model.synthesize(model.map(latents, labelled.labels), labelled.forward)
        seen = config.generator.render_cameras(labelled)
        color = (0.5,) * 3 if config.training.background == "random" else (0.0,) * 3
        images, _ = render(scene, seen.reshape(1, 1), 16, 16, background=color)
    assert torch.allclose(found[0], images[0, 0].clamp(0, 1), atol=1e-5)


def test_shapes_are_compared_without_the_device_for_which_torch_imports_its_compiler(
    snapshot_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[nn.Module] = []

    def build(*arguments: Any) -> nn.Module:
        built.append(build_within(*arguments))
        return built[-1]

    monkeypatch.setattr(snapshot, "build_within", build)
    import_gsgan(snapshot_file)
    assert len(built) == 2
    assert not any(tensor.is_meta for network in built for tensor in network.state_dict().values())


def test_weights_arrive_where_the_map_of_names_puts_them(imported: ImportedCheckpoint) -> None:
    for found, name in ((imported.generator_state, "G"), (imported.ema_state, "G_ema")):
        expected = generator_state(STATES[name], SMALL)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert torch.equal(imported.discriminator_state["head.out.weight"], STATES["D"]["b4.out.weight"])


def test_the_imported_networks_load_and_run(imported: ImportedCheckpoint) -> None:
    with torch.random.fork_rng(devices=[]):
        generator = Generator(imported.config.generator).eval()
        discriminator = make_discriminator(imported.config.discriminator)
    generator.load_state_dict(imported.ema_state)
    discriminator.load_state_dict(imported.discriminator_state)
    with torch.inference_mode():
        scene = generator.synthesize(generator.map(torch.zeros(1, SMALL.z_dim)))
    assert scene.level_counts == list(SMALL.level_counts)


@pytest.mark.parametrize("protocol", [3, 5])
def test_other_pickle_protocols_are_read_too(tmp_path: Path, protocol: int, imported: ImportedCheckpoint) -> None:
    found = import_gsgan(write(tmp_path / "a.pkl", small_snapshot, protocol))
    assert all(torch.equal(value, imported.ema_state[name]) for name, value in found.ema_state.items())


def test_six_levels_are_told_from_five(tmp_path: Path) -> None:
    blocks: tuple[LevelBlock, ...] = ("adaptive", "adaptive", "local", "local", "local")
    config = replace(SMALL, channels=(16, 16, 8, 8, 8, 8), level_blocks=blocks)
    state = lookalike.random_state(lookalike.generator_shapes(config, table=8), 4)
    found = import_gsgan(write(tmp_path / "a.pkl", lambda: lookalike.snapshot(state, state, STATES["D"])))
    assert found.config.generator.channels == config.channels
    assert found.config.generator.level_blocks == blocks


def test_stored_source_text_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setattr(lookalike.Persistent, "source", f"open({str(trace)!r}, 'w').close()")
    import_gsgan(write(tmp_path / "a.pkl", small_snapshot))
    assert not trace.exists()


def planted(hostile: Callable[[], Any], place: str) -> Callable[[], dict[str, Any]]:
    """A snapshot of a few tensors with an object at a place."""
    generator, judge = {"mapping_network.embed.weight": torch.ones(2, 2)}, {"b4.out.weight": torch.ones(1, 2)}

    def make() -> dict[str, Any]:
        content = lookalike.snapshot(generator, generator, judge)
        if place == "top":
            content["augment_pipe"] = hostile()
        elif place == "state":
            content["G"].renderer = hostile()
        elif place == "module":
            content["G_ema"].mapping_network._modules["embed"] = hostile()
        elif place == "parameter":
            content["D"]._modules["b4"]._modules["out"]._parameters["weight"] = hostile()
        return content

    return make


@pytest.mark.parametrize("place", ["top", "state", "module", "parameter"])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "system"), (eval, "eval"), (exec, "exec"), (__import__, "__import__"), (subprocess.call, "call")],
)
def test_calls_are_refused_by_name_wherever_they_are(tmp_path: Path, place: str, function: Any, name: str) -> None:
    trace = tmp_path / "trace"
    path = write(tmp_path / "a.pkl", planted(lambda: Hostile(function, f"touch {trace}"), place))
    with pytest.raises(CheckpointError, match=name):
        import_gsgan(path)
    assert not trace.exists()


def test_a_mere_mention_is_refused_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", planted(lambda: os.system, "top"))
    with pytest.raises(CheckpointError, match="system"):
        import_gsgan(path)


def test_calling_what_getattr_would_give_is_refused(tmp_path: Path) -> None:
    # getattr(_VariableFunctionsClass, "exp")(...): the inner call leaves a mark, the outer finds nothing to call.
    inner = pickle.dumps(torch.exp, protocol=2)[2:-1]
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02" + inner + b"K\x01\x85R.")
    with pytest.raises(CheckpointError, match="getattr"):
        import_gsgan(path)


def test_an_inert_mark_is_no_tensor(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", planted(lambda: torch.exp, "parameter"))
    with pytest.raises(CheckpointError, match=r"b4\.out\.weight"):
        import_gsgan(path)


def test_calls_inside_tensor_data_are_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    data = pickle.dumps(Hostile(os.system, f"touch {trace}"), protocol=2)
    legacy = io.BytesIO()
    torch.save(torch.zeros(2), legacy, _use_new_zipfile_serialization=False)
    for inner in (data, legacy.getvalue()[:60] + data):
        hostile = Hostile(torch.storage._load_from_bytes, inner)
        path = write(tmp_path / "a.pkl", planted(partial(lambda value: value, hostile), "parameter"))
        with pytest.raises(CheckpointError, match="tensor data"):
            import_gsgan(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [(0, (1 << 50,), (1,)), (0, (100, 100), (0, 0)), (5, (4,), (1,)), (0, (4,), (9,)), (-1, (2,), (1,)), (0, (2,), ())],
)
def test_tensors_beyond_their_storage_are_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    storage = torch.zeros(8)._typed_storage()
    hostile = Hostile(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})
    path = write(tmp_path / "a.pkl", planted(lambda: hostile, "parameter"))
    with pytest.raises(CheckpointError):
        import_gsgan(path)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x80\x04", b"\x80\x04.", b"hello world\n", b"PK\x03\x04" + bytes(60), bytes(100),
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b"abc.",  # bytes of a petabyte
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",  # text of exabytes
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"abc.",  # a bytearray of a terabyte
        b"\x80\x02Nr\xff\xff\xff\xff.",  # memo entry four billion, the only one: harmless here, not in CPython's own
        b"\x80\x02K\x010.", b"\x80\x02(.", b"\x80\x02h\x07.", b"\x80\x02)(K\x01s.", b"\x80\x02}(K\x01u.",
        b"\x80\x02" + b")" * 1_000 + b"\x85" * 100_000 + b"0" * 999 + b"\x85}(" + b"h\x00K\x01u.",
        b"\x80\x02cos\nsystem\n.", b"\x80\x02(ios\nsystem\n.", b"\x80\x02\x82\x01.", b"\x80\x02}}}\x87QK\x01.",
    ],
)  # fmt: skip
def test_files_that_are_no_snapshot_end_in_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"a\.pkl"):
        import_gsgan(path)


def test_a_deeply_nested_key_is_refused_rather_than_hashed(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}(" + b")" + b"\x85" * 500_000 + b"K\x01u.")
    with pytest.raises(CheckpointError, match="key"):
        import_gsgan(path)


def test_an_endless_stream_of_small_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02(" + b"}" * 2_100_000 + b"l.")
    with pytest.raises(CheckpointError, match="opcodes"):
        import_gsgan(path)


@pytest.mark.parametrize("what", ["set", "state"])
def test_values_that_are_copied_again_and_again_are_refused(tmp_path: Path, what: str) -> None:
    """Every copy costs a few bytes of the file and as much memory as the whole value."""
    path = tmp_path / "a.pkl"
    numbers = b"".join(b"J" + index.to_bytes(4, "little") for index in range(5000))
    if what == "set":
        body = b"](" + numbers + b"eq\x00(" + b"cbuiltins\nset\nh\x00\x85R" * 1000 + b"l."
    else:
        pairs = b"".join(b"J" + index.to_bytes(4, "little") + b"N" for index in range(5000))
        module = b"ctorch.nn.modules.linear\nLinear\n)\x81"
        body = b"}(" + pairs + b"uq\x00(" + (module + b"h\x00b") * 1000 + b"l."
    path.write_bytes(b"\x80\x02" + body)
    with pytest.raises(CheckpointError, match="copies its values again and again"):
        import_gsgan(path)


def test_a_module_that_is_in_the_tree_twice_is_refused(tmp_path: Path) -> None:
    def make() -> dict[str, Any]:
        content = small_snapshot()
        content["G"]._modules["one"] = content["G"]._modules["two"] = nn.Linear(1, 1)
        return content

    with pytest.raises(CheckpointError, match="twice"):
        import_gsgan(write(tmp_path / "a.pkl", make))
