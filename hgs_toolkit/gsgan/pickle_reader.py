"""A reader of the GSGAN authors' pickles that runs none of their code.

Python's unpickler calls whatever a file names. This one is a small machine of its own for the opcodes that such files
use: a name in the file is looked up in the tables below and nowhere else, calls go to the few functions of this module,
and what is only stored beside the weights (renderer objects, functions) becomes an inert mark. Every other name is
refused. Nothing is imported, resolved or called on the file's behalf; tensor bytes go through ``torch.load`` with
``weights_only``.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from hgs_toolkit.errors import CheckpointError
from hgs_toolkit.gsgan.pickle_values import Inert, Module, Name, describe, parameter_of, storage_of, tensor_of

MAX_OPCODES = 2_000_000
"""Largest number of opcodes that are executed. A real file has some 50,000; each may build a much larger object."""

MAX_COPIED = 2_000_000
"""Largest number of entries that sets and modules take over from other values, which a few opcodes can name often."""

OPCODES_PER_REPORT = 1000
"""Opcodes between two reports of progress."""


OnBytes = Callable[[int, int], None]
"""Called with the number of bytes read so far and the size of the file."""


def read_pickle(path: Path, on_bytes: OnBytes | None = None) -> Any:
    """What the pickle at ``path`` holds: plain values, tensors, :class:`Module` and :class:`Inert`.

    Args:
        on_bytes: called now and then.

    Raises:
        CheckpointError: if the file cannot be read, is damaged, truncated or no pickle, or names anything unknown.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            total = len(data)
            advance = None if on_bytes is None else lambda position: on_bytes(position, total)
            content = _Machine(total).run(cast(IO[bytes], data), advance)
            if data.tell() < total:
                raise CheckpointError(f"{total - data.tell():,} bytes follow the pickle's end; the file was refused")
            return content
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError, OverflowError, MemoryError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged, truncated or no pickle ({error})") from error


class _Machine:
    """The stack machine of a pickle, reduced to what builds plain values and calls the functions below."""

    def __init__(self, size: int) -> None:
        """``size``: bytes of the file; tensors hold no more."""
        self.copies_left, self.bytes_left = MAX_COPIED, size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: IO[bytes], advance: Callable[[int], None] | None = None) -> Any:
        """Execute ``data`` until its STOP and return the result; ``advance`` is told the position now and then."""
        for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if advance is not None and count % OPCODES_PER_REPORT == 0:
                advance(position or 0)
            if count > MAX_OPCODES:
                raise CheckpointError(f"more than {MAX_OPCODES} pickle opcodes; expected a checkpoint of some 50,000")
            self.step(opcode.name, argument)
        if len(self.stack) != 1 or self.marks:
            raise CheckpointError("the pickle ends in the middle of a value")
        return self.stack.pop()

    def step(self, opcode: str, argument: Any) -> None:
        """Execute one opcode."""
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _FIXED_TUPLES:
            self.stack.append(tuple(self.pop_many(_FIXED_TUPLES[opcode])))
        elif opcode in _OPERATIONS:
            _OPERATIONS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            raise CheckpointError(f"pickle opcode {opcode} is not used by such checkpoints; the file was refused")

    def pop_many(self, count: int) -> list[Any]:
        """The topmost ``count`` values, which must lie above the last mark."""
        bottom = len(self.stack) - count
        if bottom < (self.marks[-1] if self.marks else 0):
            raise IndexError("stack underflow")
        values = self.stack[bottom:]
        del self.stack[bottom:]
        return values

    def pop(self) -> Any:
        """The topmost value."""
        return self.pop_many(1)[0]

    def pop_mark(self) -> list[Any]:
        """The values above the last mark."""
        return self.pop_many(len(self.stack) - self.marks.pop())

    def top(self, kind: type) -> Any:
        """The topmost value without removing it, which must be of ``kind``."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise TypeError(f"no {kind.__name__} where the pickle needs one")
        return self.stack[-1]

    def set_items(self, pairs: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_simple(key)] = value

    def call(self, _: Any) -> None:
        """REDUCE and NEWOBJ, which differ only in what Python would call."""
        name, arguments = self.pop_many(2)
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise CheckpointError(f"the pickle calls {describe(name)}; only known functions may be called")
        for argument in arguments:
            self.take_over(argument)
        self.stack.append(_CALLS[name](*arguments) if name in _CALLS else Inert(name))

    def take_over(self, value: Any) -> None:
        """Count what is copied out of ``value``: a file may name one value many times, and each time it is copied."""
        if isinstance(value, bytes):
            self.bytes_left -= len(value)
        elif isinstance(value, list | dict):
            self.copies_left -= len(value)
        if self.bytes_left < 0 or self.copies_left < 0:
            raise CheckpointError(
                "the pickle copies its values again and again, as no GSGAN snapshot does; it was refused"
            )

    def build(self, _: Any) -> None:
        """BUILD: attributes of the object below. Those of dictionaries and inert marks are dropped."""
        target, state = self.pop_many(2)
        if isinstance(target, Module):
            if not isinstance(state, dict):
                raise TypeError("the state of a module is not a dictionary")
            self.take_over(state)
            target.state.update(state)
        elif not isinstance(target, dict | Inert):
            raise TypeError(f"attributes for {describe(target)}")
        self.stack.append(target)

    def global_name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(_known_name(module, name))

    def stack_global(self, _: Any) -> None:
        self.stack.append(_known_name(*self.pop_many(2)))

    def memoize(self, key: int | None) -> None:
        self.memo[len(self.memo) if key is None else key] = self.top(object)


_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_FIXED_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.pop_many(1).clear(),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_mark())),
    "APPEND": lambda m, _: _extend(m, m.pop_many(1)),
    "APPENDS": lambda m, _: _extend(m, m.pop_mark()),
    "ADDITEMS": lambda m, _: _add(m, m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items(m.pop_many(2)),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "MEMOIZE": _Machine.memoize,
    "BINPUT": _Machine.memoize,
    "LONG_BINPUT": _Machine.memoize,
    "BINGET": lambda m, key: m.stack.append(m.memo[key]),
    "LONG_BINGET": lambda m, key: m.stack.append(m.memo[key]),
    "GLOBAL": _Machine.global_name,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
}


def _extend(machine: _Machine, values: list[Any]) -> None:
    machine.top(list).extend(values)


def _add(machine: _Machine, values: list[Any]) -> None:
    machine.top(set).update(_simple(value) for value in values)


def _simple(key: Any) -> Any:
    """``key`` if it is text, a number or None: hashing anything nested is a file's way to exhaust the stack."""
    if key is not None and not isinstance(key, str | int | float):
        raise TypeError(f"{describe(key)} as a key")
    return key


def _persistent_object(meta: dict[str, Any]) -> Module:
    """The authors' own networks: source text, which is left alone, and the instance's ``__dict__``."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise TypeError("a network object without a state")
    return Module(str(meta.get("class_name")), meta["state"])


def _empty_dict(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise TypeError("a dictionary with unexpected arguments")
    return {}


def _set_of(values: list[Any]) -> set[Any]:
    if not isinstance(values, list):
        raise TypeError("a set of something else than a list")
    return {_simple(value) for value in values}


def _module_maker(kind: str) -> Callable[..., Module]:
    return lambda *_: Module(kind)


_MODULES = {
    Name(f"torch.nn.modules.{file}", kind)
    for file, kind in (
        ("container", "ModuleDict"), ("container", "ModuleList"), ("container", "Sequential"),
        ("container", "ParameterDict"), ("linear", "Linear"), ("activation", "GELU"),
    )
}  # fmt: skip

_CALLS: dict[Name, Callable[..., Any]] = {
    Name("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_object,
    Name("torch._utils", "_rebuild_tensor_v2"): tensor_of,
    Name("torch._utils", "_rebuild_parameter"): parameter_of,
    Name("torch.storage", "_load_from_bytes"): storage_of,
    Name("builtins", "set"): _set_of,
    Name("collections", "OrderedDict"): _empty_dict,
    Name("dnnlib.util", "EasyDict"): _empty_dict,
    **{name: _module_maker(name.name) for name in _MODULES},
}
"""Names that are understood, and what they do here."""

_INERT = {
    Name("builtins", "getattr"), Name("torch._C", "_VariableFunctionsClass"), Name("torch.nn.functional", "normalize"),
    Name("numpy", "dtype"), Name("numpy.core.multiarray", "scalar"), Name("numpy._core.multiarray", "scalar"),
} | {
    Name("training.gaussian3d_splatting.renderer", name)
    for name in ("Renderer", "build_covariance_from_scaling_rotation", "inverse_sigmoid")
}  # fmt: skip
"""Names of what a real file stores beside the weights: marked, never resolved, never called."""


def _known_name(module: Any, name: Any) -> Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError("a global whose name is not text")
    found = Name(module, name)
    if found not in _CALLS and found not in _INERT:
        raise CheckpointError(f"the pickle names '{str(found)[:200]}', which no GSGAN snapshot needs; it was refused")
    return found
