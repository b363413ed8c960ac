"""The root command: commands are imported when they are used, and wrong usage ends in one sentence."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

PACKAGE = "hgs_toolkit.cli"

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

USAGE_ERROR = 2
"""Exit code of wrong usage."""

EXPECTED = {
    "float_parsing": "a number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "bool_parsing": "true or false", "less_than_equal": "at most {le:g}", "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}", "greater_than": "more than {gt:g}",
}  # fmt: skip
"""What an option takes, by pydantic's type of the error."""


class LateCommands(MutableMapping[str, Any]):
    """Commands by name, each built from its module when it is first asked for.

    ``homes`` maps a name to ``module:attribute``, below :data:`PACKAGE`; the attribute is a function, or a
    :class:`typer.Typer` with commands of its own.
    """

    def __init__(self, homes: dict[str, str]) -> None:
        self._homes = dict(homes)
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = build_command(name, self.source(name))
        return self._built[name]

    def source(self, name: str) -> Callable[..., None] | typer.Typer:
        """The function or application that the command ``name`` is built from."""
        module, _, attribute = self._homes[name].partition(":")
        source: Callable[..., None] | typer.Typer = getattr(importlib.import_module(f"{PACKAGE}.{module}"), attribute)
        return source

    def __setitem__(self, name: str, command: Any) -> None:
        self._homes.setdefault(name, "")
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._homes[name]
        self._built.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def items(self) -> ItemsView[str, Any]:
        """Names and commands; every command is built."""
        return ItemsView(self)


def build_command(name: str, source: Callable[..., None] | typer.Typer) -> Any:
    """The command that typer makes of a function or of a group of functions."""
    app = source
    if not isinstance(app, typer.Typer):
        app = typer.Typer(add_completion=False, context_settings=HELP_OPTIONS, pretty_exceptions_enable=False)
        app.command(name)(source)
    command = get_command(app)
    command.name = name
    return command


def _listed(name: str, source: Callable[..., None] | typer.Typer) -> TyperCommand:
    """A command that has a name and a help text, and no options."""
    text = source.info.help if isinstance(source, typer.Typer) else inspect.getdoc(source)
    return TyperCommand(name, short_help=text.partition("\n\n")[0] if isinstance(text, str) else None)


def root_group(homes: dict[str, str]) -> type[TyperGroup]:
    """The class of the root command, with the commands of ``homes`` (see :class:`LateCommands`)."""

    class Root(TyperGroup):
        """All commands; an error of usage is one sentence on stderr, and an event on stdout with --json-progress."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = self._late = LateCommands(homes)

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """The list of commands, each with the text of its help alone: their options need not be built for that.

            It is plain text, since rich alone would take as long as all the rest.
            """
            self.commands = {name: _listed(name, self._late.source(name)) for name in homes}
            mode, self.rich_markup_mode = self.rich_markup_mode, None
            try:
                super().format_help(ctx, formatter)
            finally:
                self.commands, self.rich_markup_mode = self._late, mode

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
            """Names in the order of the table."""
            return list(self.commands)

        def main(self, args: Sequence[str] | None = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
            """Run with ``args``, by default those of the process."""
            given = list(sys.argv[1:] if args is None else args)
            if not standalone_mode:
                return super().main(args=given, standalone_mode=False, **extra)
            try:
                code = super().main(args=given, standalone_mode=False, **extra)
            except typer.Abort:
                code = 1
            except Exception as error:
                if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
                    raise
                code = _tell_usage_error(error, as_json="--json-progress" in given)
            sys.exit(code if isinstance(code, int) else 0)

    return Root


def torchrun_rank() -> int:
    """Number of this process among those of torchrun, of which only number 0 speaks; 0 without torchrun."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdecimal() else 0


def _tell_usage_error(error: Any, as_json: bool) -> int:
    """Print what was wrong with the arguments and where to look; return the exit code."""
    if torchrun_rank() > 0:
        return int(error.exit_code)
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # no arguments at all: the message is the help text
        error.show()
        return int(error.exit_code)
    message = _value_sentence(error) or message.replace("Value error, ", "")  # pydantic's prefix
    sentence = " ".join(message.split()).rstrip(".")
    if context is not None:
        sentence += f"; see '{context.command_path} --help'"
    if as_json:
        typer.echo(json.dumps({"event": "error", "kind": "usage", "text": sentence, "files": []}))
    typer.echo(f"error: {sentence}", err=True)
    return int(error.exit_code)


def _value_sentence(error: Any) -> str:
    """What is wrong with an option's value in the toolkit's words; empty where pydantic did not find it."""
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    parameter = getattr(error, "param", None)
    if not found or parameter is None:
        return ""
    kind, bounds = found[0]["type"], found[0].get("ctx", {})
    expected = EXPECTED.get(kind, "").format(**bounds)
    return f"{parameter.get_error_hint()} is '{found[0]['input']}'; expected {expected}" if expected else ""
