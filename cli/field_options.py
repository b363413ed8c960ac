"""Flags of a command that are the fields of a settings dataclass, so that each is described in one place."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

Command = TypeVar("Command", bound=Callable[..., None])


def takes_fields_of(settings: type) -> Callable[[Command], Command]:
    """Decorate a command that ends in ``**options``: each field of ``settings`` with a help text becomes a flag.

    A field's metadata hold its ``help`` and may hold ``flag`` (default: the field's name with dashes) and what else
    :func:`typer.Option` takes, such as ``min`` and ``max``. Its type and default are those of the flag.
    """
    types = get_type_hints(settings)

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [given for given in signature.parameters.values() if given.kind is not inspect.Parameter.VAR_KEYWORD]
        flags = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default,
                annotation=Annotated[types[field.name], _option(field)],
            )
            for field in dataclasses.fields(settings) if "help" in field.metadata
        ]  # fmt: skip
        parameters = [*own, *flags]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {given.name: given.annotation for given in parameters}
        return command

    return decorate


def _option(field: dataclasses.Field[Any]) -> Any:
    described = dict(field.metadata)
    flag = described.pop("flag", f"--{field.name.replace('_', '-')}")
    return typer.Option(flag, show_default=field.default not in (None, False, True), **described)
