"""`cmfd slurm install`: set a cluster up for all of its users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.cli.slurm.installation import (
    COMMAND,
    NEW_SUFFIX,
    Choices,
    Step,
    carry_out,
    diff,
    hidden_program,
    plan,
)

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


def _absolute(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    del ctx, param
    return value.absolute()


@example(
    "cmfd slurm install --site /project/cmfd --dry-run | less",
    "cmfd slurm install --site /project/cmfd",
)
@click.command("install")
@click.option(
    "--site", type=_DIRECTORY, required=True, metavar="DIR", callback=_absolute,
    help="Where all is published, on a shared disk; may have {user}, {uid}, {account}, {cluster}.",
)  # fmt: skip
@click.option(
    "--prefix", type=_DIRECTORY, default=Path("/"), metavar="DIR", callback=_absolute,
    help="Put all under DIR/etc, and refer to it there; default: /.",
)  # fmt: skip
@click.option(
    "--node-dir", type=_DIRECTORY, default=Choices._field_defaults["node_dir"], callback=_absolute,
    show_default=True, metavar="DIR", help="The daemon's directory: the node's own disk.",
)  # fmt: skip
@click.option("--user", default="cmfd", show_default=True, help="Who the daemon runs as.")
@click.option("--uid", type=int, help="The number of that user, the same on all machines.")
@click.option("--slurm-user", default="slurm", show_default=True, help="SlurmUser of slurm.conf.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written, as a patch.")
@options.as_json
def command(*, dry_run: bool, as_json: bool, **chosen: Any) -> None:
    """
    Write what a cluster needs so that its users need to do nothing.

    These are settings, SLURM's hooks, and units for the daemon on each node and for the merger. A
    file that was changed since it was installed is kept, and the new one put beside it. Nothing is
    started, and slurm.conf is not touched: at the end it says what is left to do.
    """
    choices = Choices(**chosen)
    steps = plan(choices)
    if not dry_run:
        carry_out(choices, steps)
    if hidden := hidden_program():
        click.echo(
            f"cmfd: {COMMAND} is for the service and for all users, and {hidden} is not open to "
            "them: install cmfd where everybody can run it, or change that mode",
            err=True,
        )
    if as_json:
        print_json([{"path": str(step.file.path), "action": step.action} for step in steps])
        return
    for step in steps:
        click.echo(_line(step) if not dry_run else f"# {_line(step)}")
        if dry_run:
            click.echo(diff(step), nl=False)
    if not dry_run:
        click.echo(_rest(choices))


def _line(step: Step) -> str:
    path = step.file.path
    beside = f" (it was changed; the new one is {path.name}{NEW_SUFFIX})"
    return f"{step.action:<8} {path}{beside if step.action == 'keep' else ''}"


def _rest(choices: Choices) -> str:
    """Say what an installation does not do."""
    etc = choices.prefix / "etc"
    units = etc / "systemd" / "system"
    return "\n".join(
        (
            "",
            "Left to do on every node:",
            f"  systemd-sysusers {etc / 'sysusers.d' / 'cmfd.conf'}",
            f"  systemd-tmpfiles --create {etc / 'tmpfiles.d' / 'cmfd.conf'}",
            f"  systemctl enable --now {units / 'cmfd.service'}",
            "on one machine that has the site:",
            f"  systemctl enable --now {units / 'cmfd-merge.service'}",
            "and in slurm.conf, then `scontrol reconfigure`, and restart slurmctld:",
            f"  Include {choices.settings.parent / 'slurm.conf'}",
        )
    )
