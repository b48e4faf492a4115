"""Groups of commands, each of which is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from cmfd.cli.help import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click


class LazyGroup(Group):
    """
    A group whose commands are the attributes `command` of the modules of a package.

    Parameters
    ----------
    package : str
        Where the modules are.
    names : sequence of str
        The commands, in the order in which help shows them; a hyphen is an underscore in the
        module's name, and a word of Python's has one behind it.
    """

    def __init__(self, *args: Any, package: str, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.names = tuple(names)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in their order."""
        del ctx
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in self.names:
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"{self.package}.{name}{'_' * iskeyword(name)}")
        found: click.Command = module.command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; of one that is none, say which come near."""
        if args[0] not in self.names and not ctx.resilient_parsing:
            self._refuse(ctx, args[0])
        return super().resolve_command(ctx, args)

    def _refuse(self, ctx: click.Context, name: str) -> None:
        """Fail if a command that there is not comes near to one that there is."""
        from difflib import get_close_matches  # noqa: PLC0415 - only for what is misspelt

        if near := get_close_matches(name, self.names):
            ctx.fail(f"No such command {name!r}. Did you mean {' or '.join(near)}?")
