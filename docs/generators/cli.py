"""The commands, from their own help."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from cmfd import errors
from cmfd.cli.main import cli
from docs.generators.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

VERBATIM = "\b"
"""Begins a paragraph that click does not wrap."""

_NO_CONTEXT = click.Context(click.Command("cmfd"))


def commands() -> str:
    """Return the usage, help and options of every command."""
    return "\n\n".join(_described(path, command) for path, command in _all(cli, ("cmfd",)))


def exit_codes() -> str:
    """Return which error gives which exit code."""
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CmfdError)
    ]  # fmt: skip
    rows = [
        (str(kind.exit_code), code(kind.__name__), _first_line(kind))
        for kind in sorted(kinds, key=lambda kind: kind.exit_code)
    ]
    return table(("Code", "Error", "Meaning"), rows)


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


def _all(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _all(below, (*path, name))


def _described(path: tuple[str, ...], command: click.Command) -> str:
    # Not by click's own formatter, which each of its releases changes a little.
    name = " ".join(path)
    usage = " ".join([name, *command.collect_usage_pieces(click.Context(command))])
    options = [item for item in command.params if isinstance(item, click.Option)]
    parts = [f"## `{name}`", f"```text\n{usage}\n```", _text(command)]
    if options:
        parts.append(table(("Option", "Meaning"), [_option(item) for item in options]))
    return "\n\n".join(parts)


def _text(command: click.Command) -> str:
    """Return a command's help: paragraphs, and those marked to be kept as they are as code."""
    said = (inspect.cleandoc(command.help or ""), command.epilog or "")
    paragraphs = "\n\n".join(filter(None, said)).split("\n\n")
    return "\n\n".join(
        f"```text\n{text.removeprefix(VERBATIM).strip()}\n```"
        if text.startswith(VERBATIM)
        else " ".join(text.split())
        for text in paragraphs
    )


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(option.opts + option.secondary_opts)
    value = "" if option.is_flag or option.count else f" {option.make_metavar(_NO_CONTEXT)}"
    return code(names + value), option.help or ""


SECTIONS = {"commands": commands, "exit_codes": exit_codes}
