"""Pushing to and pulling from a server of CMF's, with the commands that do it for sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd.cli.import_.told import tell
from cmfd.cli.output import print_json
from cmfd.formats.cmf import document, server
from cmfd.formats.mlmd.gather import gather
from cmfd.formats.mlmd.ingest import ingest
from cmfd.merge.batch import merge_site
from cmfd.query.index import open_index
from cmfd.report.text import printable
from cmfd.report.units import count
from cmfd.sync.view import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.formats.cmf.server import Pushed

_SHOWN = 5


def push(site: Path, remote: str, chosen: Choice, *, as_json: bool, quiet: bool) -> None:
    """Send pipelines to a server."""
    wanted = _pipelines(chosen)
    merge_site(site)
    with open_index(site) as db:
        said = document.write(gather(db, wanted), wanted)
    done = [server.push(remote, pipeline) for pipeline in said["Pipeline"]]
    for one in done:
        _warn(one)
    if as_json:
        print_json([one._asdict() for one in done])
    elif not quiet:
        for one in done:
            executions = count(one.n_executions, "execution")
            news = "sent" if one.state == "success" else "known there already"
            click.echo(printable(f"{one.pipeline}: {executions} {news}"))


def _warn(done: Pushed) -> None:
    if done.as_text:
        names = sorted(set(done.as_text))
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        told = f"cmfd: {done.pipeline}: sent as text, as CMF's server cannot hold them: {shown}"
        click.echo(printable(told), err=True)


def pull(site: Path, remote: str, chosen: Choice, *, as_json: bool, quiet: bool) -> None:
    """Take pipelines of a server in."""
    done = [
        one
        for pipeline in _pipelines(chosen) or (None,)
        for one in ingest(site, document.read(server.pull(remote, pipeline), remote))
    ]
    tell(done, as_json=as_json, quiet=quiet)


def _pipelines(chosen: Choice) -> tuple[str, ...]:
    if chosen != Choice(pipeline=chosen.pipeline):
        raise click.UsageError("With a server of CMF's, --pipeline is all that can be chosen.")
    return (chosen.pipeline,) if chosen.pipeline else ()
