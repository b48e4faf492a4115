"""What is in a command's help beside click's own: examples, and whole sentences on subcommands."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound=click.Command)

_AS_IT_IS = "\b"
"""Tells click to leave a paragraph's lines as they are."""

_SENTENCE = 400
"""No first sentence of a help has as many characters."""


class Group(click.Group):
    """A group whose help has the whole first sentence of each command, folded where need be."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_SENTENCE)) for name, one in found if one]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def example(*lines: str) -> Callable[[C], C]:
    """Add lines of a shell to the end of a command's help."""

    def add(command: C) -> C:
        command.epilog = "\n".join((_AS_IT_IS, "Example:", *(f"  {line}" for line in lines)))
        return command

    return add
