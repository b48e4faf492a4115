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


def commands() -> str:
    """Return the help of every command."""
    return "\n\n".join(
        f"## `{' '.join(path)}`\n\n```text\n{_help(command, path)}\n```"
        for path, command in _all(cli, ("cmfd",))
    )


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


def _help(command: click.Command, path: tuple[str, ...]) -> str:
    context = click.Context(command, info_name=" ".join(path), terminal_width=90)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


SECTIONS = {"commands": commands, "exit_codes": exit_codes}
