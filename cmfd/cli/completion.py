"""`cmfd completion`: what makes a shell complete cmfd's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cmfd.cli.help import example

VARIABLE = "_CMFD_COMPLETE"
"""Where click looks for what a shell asks."""


@example(
    'eval "$(cmfd completion bash)"  # in ~/.bashrc',
    "cmfd completion fish > ~/.config/fish/completions/cmfd.fish",
)
@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    if kind is None:  # click knows all three; a future one might not
        raise click.ClickException(f"This click has no completion for {shell}.")
    click.echo(kind(ctx.find_root().command, {}, "cmfd", VARIABLE).source())
