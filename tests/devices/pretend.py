"""A CUDA device that is none: tensors that say they are on cuda:0, refuse what CUDA refuses, and compute on the CPU.

For tests of device placement on machines without a GPU: mixed devices, ``.numpy()`` on the device and generators of the
CPU are errors, and every wait for the device is counted. It says nothing about CUDA's kernels.
"""

# mypy: ignore-errors
# torch declares few of the types of what is overridden here.

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from hgs_toolkit.rendering import gsplat_backend, rasterize

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
aten = torch.ops.aten

WAITS: Counter[str] = Counter()
"""Number of waits for the device by kind and place: values read, masks turned into indices, copies to the CPU."""

UPLOADS: Counter[str] = Counter()
"""Number of copies from the CPU to the device by place."""

WAITING = {
    aten._local_scalar_dense.default: "item",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten.equal.default: "equal",
    aten.is_nonzero.default: "bool",
}
INDEXING = {
    aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}  # fmt: skip
COPIES = {aten._to_copy.default, aten.copy_.default, aten.copy.default}

NUMPY = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."


class PretendCuda(Tensor):
    """A tensor that says it is on cuda:0 and holds one of the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> PretendCuda:
        return Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            layout=inner.layout, device=inner.device, requires_grad=requires_grad,
        )  # fmt: skip

    def __init__(self, inner: Tensor, requires_grad: bool = False) -> None:
        self.inner = inner

    def __repr__(self, **_: Any) -> str:
        return f"PretendCuda({self.inner!r})"

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], meta: Any, size: Any, stride: Any) -> PretendCuda:
        return PretendCuda(inner["inner"])

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:
        return CUDA

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_cpu(self) -> bool:
        return False

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(NUMPY)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(NUMPY)

    def tolist(self) -> Any:
        _note(WAITS, "tolist")
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return PretendCuda(x.detach())

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient.inner if isinstance(gradient, PretendCuda) else gradient


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Tensor:
        return x.inner.detach()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return PretendCuda(gradient)


class _Functions(torch.overrides.TorchFunctionMode):
    """Functions that name a device: they must not reach torch, which was built without CUDA."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name in ("to", "cpu", "cuda") and isinstance(args[0], Tensor):
            return _move(func, name, args, kwargs)
        if name == "as_tensor" and isinstance(args[0], PretendCuda) and not _is_cuda(kwargs.get("device", CUDA)):
            return _Down.apply(args[0])
        if name == "new_tensor" and isinstance(args[0], PretendCuda):
            _note(UPLOADS, "new_tensor")
            return PretendCuda(torch.tensor(args[1], **({"dtype": args[0].dtype} | kwargs)))
        if _is_cuda(kwargs.get("device")):
            return _make(func, name, args, kwargs)
        return func(*args, **kwargs)


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)


class _Inference:
    """``torch.inference_mode`` as ``torch.no_grad``: tensors like ours cannot be inference tensors."""

    def __enter__(self) -> None:
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)

    def __exit__(self, *_: object) -> None:
        torch.set_grad_enabled(self.before)


class _Gsplat(torch.autograd.Function):
    """What gsplat is asked for, drawn by the CPU's kernels."""

    @staticmethod
    def forward(ctx: Any, options: dict[str, Any], *tensors: Any) -> tuple[Tensor, Tensor]:
        assert all(t is None or isinstance(t, PretendCuda) for t in tensors), "a tensor of the CPU reached gsplat"
        with torch.enable_grad(), _outside():
            leaves = [
                None if t is None else t.inner.detach().clone().requires_grad_(bool(needed) and t.is_floating_point())
                for t, needed in zip(tensors, ctx.needs_input_grad[1:], strict=True)
            ]
            *gaussians, viewmats, Ks, backgrounds = leaves
            drawn = rasterize(*gaussians, viewmats, Ks, **options, backgrounds=backgrounds, backend="cpu")
        ctx.graph = (leaves, drawn)
        return PretendCuda(drawn[0].detach()), PretendCuda(drawn[1].detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        leaves, drawn = ctx.graph
        wanted = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
        with _outside():
            given = [g.inner if isinstance(g, PretendCuda) else g for g in gradients]
            found = iter(torch.autograd.grad(drawn, wanted, given, allow_unused=True))
        results = [next(found) if leaf is not None and leaf.requires_grad else None for leaf in leaves]
        return (None, *(None if g is None else PretendCuda(g) for g in results))


@contextlib.contextmanager
def pretend_cuda() -> Iterator[None]:
    """Within the block, ``cuda`` is a device on which gsplat works; :data:`WAITS` and :data:`UPLOADS` start at 0."""
    save = torch.save

    def saved(content: Any, *args: Any, **kwargs: Any) -> None:
        save(tree_map(lambda x: x.inner if isinstance(x, PretendCuda) else x, content), *args, **kwargs)

    values = {
        "is_available": True, "_lazy_init": None, "get_device_capability": (9, 0), "get_device_name": "pretended",
        "synchronize": None, "is_bf16_supported": True, "device_count": 1, "current_device": 0,
        "mem_get_info": (2**30, 2**30),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, lambda *_, value=value, **__: value))
        stack.enter_context(mock.patch.object(torch, "autocast", _Autocast))
        for method in ("__enter__", "__exit__"):
            stack.enter_context(mock.patch.object(torch.inference_mode, method, getattr(_Inference, method)))
        stack.enter_context(mock.patch.object(torch, "save", saved))
        stack.enter_context(mock.patch.object(gsplat_backend, "call_gsplat", _call_gsplat))
        stack.enter_context(mock.patch.object(gsplat_backend, "unavailable_reason", return_value=None))
        stack.enter_context(mock.patch("hgs_toolkit.rendering.gsplat_build.kernels_are_compiled", return_value=True))
        stack.enter_context(_Functions())
        stack.enter_context(_Dispatch())
        WAITS.clear()
        UPLOADS.clear()
        yield


def _call_gsplat(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor, Ks: Tensor,
    backgrounds: Tensor | None, sh_degree: int | None, settings: Any,
) -> Any:  # fmt: skip
    assert means.shape[0] == 1 or means.shape[1] % gsplat_backend.WARP == 0, "several scenes that are not padded"
    options = {
        "width": settings.width, "height": settings.height, "sh_degree": sh_degree,
        "render_mode": settings.render_mode, "rasterize_mode": settings.rasterize_mode,
    }  # fmt: skip
    return _Gsplat.apply(options, means, quats, scales, opacities, colors, viewmats, Ks, backgrounds)


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    """One operation: refused if its tensors are on different devices, else computed and its result wrapped."""
    flat, spec = tree_flatten((args, kwargs))
    on_device = any(isinstance(x, PretendCuda) for x in flat)
    device = kwargs.get("device")
    _refuse(func, args, flat, on_device, device)
    if not _engine_is_at_work():
        _count(func, args, on_device, device)
    inner_args, inner_kwargs = tree_unflatten([_inner(x) for x in flat], spec)
    result = func(*inner_args, **inner_kwargs)
    if func in (aten._local_scalar_dense.default, aten.equal.default):
        return result
    if func is aten.copy_.default:
        return args[0]
    if not (_is_cuda(device) if device is not None else on_device):
        return result
    wrapped = tree_map(_wrap, result)
    if not on_device or func is aten._to_copy.default:
        return wrapped
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _refuse(func: Any, args: Any, flat: list[Any], on_device: bool, device: Any) -> None:
    """Raise what CUDA raises for a generator of the CPU or tensors of different devices."""
    if any(isinstance(x, torch.Generator) for x in flat) and (_is_cuda(device) or (on_device and device is None)):
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' ({func})")
    if not on_device or func in COPIES or _engine_is_at_work("clip_gradients"):
        return
    foreign = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, PretendCuda) and x.dim() > 0]
    if func in INDEXING:
        if not isinstance(args[0], PretendCuda):
            raise RuntimeError(f"{func}: indices on cuda:0, the indexed tensor on the CPU")
        foreign = [x for x in args[2:3] if isinstance(x, Tensor) and not isinstance(x, PretendCuda) and x.dim() > 0]
    if foreign:
        shapes = [tuple(x.shape) for x in foreign]
        raise RuntimeError(f"{func}: Expected all tensors to be on the same device, found cuda:0 and cpu {shapes}")


def _count(func: Any, args: Any, on_device: bool, device: Any) -> None:
    """Note a wait for the device, or an upload."""
    if on_device and func in WAITING:
        _note(WAITS, WAITING[func])
    if on_device and func in INDEXING:
        indices = [index for index in args[1] if isinstance(index, Tensor)]
        if any(index.dtype == torch.bool for index in indices):
            _note(WAITS, "mask")
        if any(not isinstance(index, PretendCuda) for index in indices):
            _note(UPLOADS, "index")
    if func is aten._to_copy.default and device is not None and on_device != _is_cuda(device):
        _note(WAITS if on_device else UPLOADS, "copy")
    if func is aten.copy_.default and isinstance(args[0], PretendCuda) != isinstance(args[1], PretendCuda):
        _note(UPLOADS if isinstance(args[0], PretendCuda) else WAITS, "copy_")


def _move(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """``Tensor.to``, ``.cpu`` and ``.cuda``: the type changes where the tensor is, then it moves."""
    x, target, rest = args[0], {"cpu": CPU, "cuda": CUDA}.get(name), []
    for value in (*args[1:], kwargs.pop("device", None), kwargs.pop("other", None)):
        if isinstance(value, Tensor):
            target = CUDA if isinstance(value, PretendCuda) else CPU
            rest.append(value.dtype)
        elif isinstance(value, torch.device | str):
            target = torch.device(value)
        elif value is not None and not isinstance(value, bool):
            rest.append(value)
    kwargs = {key: value for key, value in kwargs.items() if value is not None and key != "non_blocking"}
    y = func(x, *rest, **kwargs) if name == "to" and (rest or kwargs) else x
    if target is not None and target.type == "cuda" and not isinstance(y, PretendCuda):
        _note(UPLOADS, "to")
        return _Up.apply(y)
    if target is not None and target.type == "cpu" and isinstance(y, PretendCuda):
        _note(WAITS, "to the CPU")
        return _Down.apply(y)
    return y


def _make(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    """A function that makes a tensor on the device."""
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type == "cpu":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' ({name})")
    if name in ("tensor", "as_tensor"):
        _note(UPLOADS, name)
    made = func(*args, **(kwargs | {"device": CPU}))
    if not isinstance(made, Tensor) or isinstance(made, PretendCuda):
        return made
    wrapped = PretendCuda(made.detach())
    return wrapped.requires_grad_() if kwargs.get("requires_grad") else wrapped


def _inner(x: Any) -> Any:
    if isinstance(x, PretendCuda):
        return x.inner
    return CPU if isinstance(x, torch.device) and x.type == "cuda" else x


def _wrap(x: Any) -> Any:
    return PretendCuda(x) if isinstance(x, Tensor) and not isinstance(x, PretendCuda) else x


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _note(counter: Counter[str], what: str) -> None:
    """Count ``what`` under the line of the toolkit that caused it."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name and "/tests/" not in name and "torch" not in name:
            counter[f"{what} {name.rsplit('/', 1)[-1]}:{frame.f_lineno}"] += 1
            return
        frame = frame.f_back
    counter[what] += 1


def _engine_is_at_work(*functions: str) -> bool:
    """Whether autograd, an optimiser or one of ``functions`` runs: autograd makes up gradients on the real device."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in ("_engine_run_backward", *functions) or "/optim/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _outside() -> Iterator[None]:
    with _disable_current_modes():
        yield
