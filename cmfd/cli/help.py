"""Examples in a command's help."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound=click.Command)

_AS_IT_IS = "\b"
"""Tells click to leave a paragraph's lines as they are."""


def example(*lines: str) -> Callable[[C], C]:
    """Add lines of a shell to the end of a command's help."""

    def add(command: C) -> C:
        command.epilog = "\n".join((_AS_IT_IS, "Example:", *(f"  {line}" for line in lines)))
        return command

    return add
