"""`cmfd doctor`: whether all is well on this node, and what to do where it is not."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from cmfd import config
from cmfd.cli import options
from cmfd.cli.checks.energy import check_energy, check_energy_sources
from cmfd.cli.checks.energy_daemon import check_idle_power, check_who_counts
from cmfd.cli.checks.finding import Finding
from cmfd.cli.checks.node import check_node
from cmfd.cli.checks.site import check_site
from cmfd.cli.checks.system import check_system
from cmfd.cli.help import example
from cmfd.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cmfd.errors import ConfigError

_SLIP = 0.85
"""How alike, of 1, two names are of which one may be the other misspelt."""

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@example("cmfd doctor")
@click.command("doctor")
@click.option("--energy", is_flag=True, help="Look at each source of energy instead.")
@options.site
@options.as_json
@options.quiet
@click.pass_context
def command(ctx: click.Context, site: Path, *, energy: bool, as_json: bool, quiet: bool) -> None:
    """
    Check this node and the site, and say what to do about each finding.

    The exit code is 1 if something does not work (fail), and 0 if all does (ok) or does less well
    than it could (warn). With --quiet, only the latter two are printed.

    With --energy, it says of each source of energy whether it can be read here and why not, how
    good it is (grades A to E), what it counts for, what it says now, and how to get a better one.
    """
    found = list(_findings_of_energy() if energy else _findings(site))
    if as_json:
        print_json(found)
    else:
        for finding in found:
            if not (quiet and finding.level == "ok"):
                _print(finding)
    if any(finding.level == "fail" for finding in found):
        ctx.exit(1)


def _findings(site: Path) -> Iterator[Finding]:
    settings, wrong = config.load_usable()
    yield from _of_settings(wrong)
    yield from check_node(settings)
    yield from check_site(site)
    yield from check_system()
    yield check_energy(settings)
    if settings.energy:
        yield check_who_counts(settings)


def _findings_of_energy() -> Iterator[Finding]:
    settings, wrong = config.load_usable()
    yield from _of_settings(wrong)
    yield from check_energy_sources(settings)
    yield check_who_counts(settings)
    yield from check_idle_power(settings)


def _of_settings(wrong: Iterable[ConfigError]) -> Iterator[Finding]:
    for error in wrong:
        remedy = "Correct it: programs pass over it, and no daemon starts with it."
        yield Finding("settings", "fail", str(error), remedy)
    yield from _misspelt()


def _misspelt() -> Iterator[Finding]:
    """Find variables that set nothing, and come near to one that sets something."""
    known = [config.variable_of(item.key) for item in config.describe_settings()]
    for name in sorted(os.environ):
        if not name.startswith("CMFD_") or name in known:
            continue
        for near in get_close_matches(name, known, n=1, cutoff=_SLIP):
            yield Finding("settings", "warn", f"{name} sets nothing", f"Is {near} meant?")


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:4}", fg=_COLOURS[finding.level])
    click.echo(f"{level}  {finding.check}: {finding.what}")
    if finding.advice:
        click.echo(f"      {finding.advice}")
