"""What the commands that exchange packs with other sites have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmfd.cli.output import print_json
from cmfd.errors import IncompleteError
from cmfd.merge.layout import open_site
from cmfd.report import units
from cmfd.report.text import printable_lines
from cmfd.sync import remotes
from cmfd.sync.connect import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.sync.exchange import Exchanged
    from cmfd.sync.peer import Peer, Taken

F = TypeVar("F", bound="Callable[..., Any]")

N_SHOWN = 20
"""How many packs that were left out are named."""


def remote(function: F) -> F:
    """Add the argument REMOTE: a name that the site gave it, or an address."""
    return click.argument("remote", default=remotes.DEFAULT, shell_complete=_complete_remote)(
        function
    )


def everything(function: F) -> F:
    """Add ``--all``."""
    return click.option(
        "--all",
        "everything",
        is_flag=True,
        help="Compare all packs, and not only those since the last time.",
    )(function)


def _complete_remote(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of remotes; a shell that completes gets an answer or nothing."""
    from pathlib import Path  # noqa: PLC0415 - only for completion

    from cmfd import config  # noqa: PLC0415 - as above
    from cmfd.errors import CmfdError  # noqa: PLC0415 - as above

    del param
    try:
        site = open_site(ctx.params.get("site") or config.find_site(Path.cwd()))
        return [one.name for one in remotes.all_of(site) if one.name.startswith(incomplete)]
    except CmfdError:
        return []


@contextmanager
def reached(site_dir: Path, name: str) -> Iterator[tuple[Site, remotes.Remote, Peer]]:
    """Open a site and reach another while the block runs."""
    site = open_site(site_dir)
    other = remotes.named(site, name)
    with connect(other) as peer:
        yield site, other, peer


def tell(done: Exchanged, verb: str, *, as_json: bool, quiet: bool) -> None:
    """
    Print what an exchange moved.

    Raises
    ------
    IncompleteError
        Some of it was left out.
    """
    if as_json:
        print_json(document(done))
    elif not quiet:
        click.echo(printable_lines(text(done, verb)))
    if done.left_out:
        lines = [f"  {digest}: {reason}" for digest, reason in done.left_out[:N_SHOWN]]
        more = len(done.left_out) - len(lines)
        lines += [f"  and {more} more"] if more else []
        raise IncompleteError("\n".join(("The rest came over; these packs could not:", *lines)))


def document(done: Exchanged) -> dict[str, Any]:
    """Return what an exchange moved, for JSON."""
    left_out = [{"digest": digest, "reason": reason} for digest, reason in done.left_out]
    return {
        "remote": done.remote,
        "packs": done.n_packs,
        "bytes": done.n_bytes,
        "left_out": left_out,
        "merge": _merge_document(done.taken),
    }


def _merge_document(taken: Taken | None) -> dict[str, Any] | None:
    if taken is None:
        return None
    return {
        "absorbed": taken.absorbed,
        "waiting": taken.waiting,
        "busy_holder": taken.busy_holder,
    }


def text(done: Exchanged, verb: str) -> str:
    """Return what an exchange moved, for people."""
    if not done.n_packs:
        return f"Nothing new {verb} {done.remote}"
    packs = f"{units.count(done.n_packs, 'pack')} ({units.size(done.n_bytes)})"
    lines = [f"{packs} {verb} {done.remote}"]
    if done.taken is not None:
        if done.taken.waiting:
            lines.append(f"{units.count(done.taken.waiting, 'pack')} wait there to be merged")
        if done.taken.busy_holder:
            lines.append(f"Left to the merger at work: {done.taken.busy_holder}")
    return "\n".join(lines)
