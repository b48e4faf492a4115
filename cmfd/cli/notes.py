"""`cmfd artifacts mark`, `tag`, `untag`, `label`, `note`: saying something afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.merge.notes import say
from cmfd.model import NoteKind
from cmfd.query.index import open_index
from cmfd.query.subject import anything
from cmfd.report.text import printable

if TYPE_CHECKING:
    from pathlib import Path

_WHAT = click.argument("what", metavar="ARTIFACT|EXECUTION|RUN")


@example(
    "cmfd artifacts mark data/raw.h5 --tainted --reason 'wrong calibration'",
    "cmfd artifacts mark data/raw.h5 --cleared --reason 'calibrated again, it was right'",
)
@click.command("mark")
@_WHAT
@click.option(
    "--tainted", "kind", flag_value=NoteKind.TAINTED.value, type=str, help="It must not be used."
)
@click.option(
    "--cleared", "kind", flag_value=NoteKind.CLEARED.value, type=str, help="It may be used again."
)
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@options.site
@options.quiet
def mark(site: Path, what: str, *, kind: str | None, reason: str, quiet: bool) -> None:
    """
    Mark an artifact, execution or run as tainted, or as cleared.

    Names are those of `cmfd lineage up` and `cmfd show`. The mark is a record with your name and
    the time. It stays for good, and the last one counts; `cmfd impact --mark` marks all that
    something reached.
    """
    if kind is None:
        raise click.UsageError("Say which: --tainted or --cleared.")
    _say(site, what, NoteKind(kind), reason, quiet=quiet)


@example("cmfd tag last baseline", "cmfd artifacts tag model.bin production")
@click.command("tag")
@_WHAT
@click.argument("tag")
@options.site
@options.quiet
def tag(site: Path, what: str, tag: str, *, quiet: bool) -> None:
    """Give an artifact, execution or run a tag, to search for: `cmfd search 'tag = "..."'`."""
    _say(site, what, NoteKind.TAG, tag, quiet=quiet)


@example("cmfd untag last baseline", "cmfd artifacts untag model.bin production")
@click.command("untag")
@_WHAT
@click.argument("tag")
@options.site
@options.quiet
def untag(site: Path, what: str, tag: str, *, quiet: bool) -> None:
    """Take a tag away from an artifact, execution or run; that it had it stays known."""
    _say(site, what, NoteKind.UNTAG, tag, quiet=quiet)


@example("cmfd artifacts label model.bin 'barrel model, v3'")
@click.command("label")
@_WHAT
@click.argument("label")
@options.site
@options.quiet
def label(site: Path, what: str, label: str, *, quiet: bool) -> None:
    """Call an artifact, execution or run something; the last label counts, an empty one is none."""
    _say(site, what, NoteKind.LABEL, label, quiet=quiet)


@example("cmfd artifacts note model.bin 'trained before the magnet was repaired'")
@click.command("note")
@_WHAT
@click.argument("text")
@options.site
@options.quiet
def note(site: Path, what: str, text: str, *, quiet: bool) -> None:
    """Write something down about an artifact, execution or run."""
    _say(site, what, NoteKind.NOTE, text, quiet=quiet)


COMMANDS = (mark, tag, untag, label, note)


def _say(site: Path, what: str, kind: NoteKind, text: str, *, quiet: bool) -> None:
    with open_index(site) as db:
        about = anything(db, what)
    say(site, kind, {about: text})
    if not quiet:
        click.echo(printable(f"{kind.value}: {about}"))
