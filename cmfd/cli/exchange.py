"""What the commands that exchange packs with other sites have in common."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cmfd.cli import options
from cmfd.cli.output import print_json
from cmfd.errors import IncompleteError
from cmfd.merge.layout import open_site
from cmfd.report.text import printable_lines
from cmfd.sync import remotes
from cmfd.sync.connect import connect
from cmfd.sync.view import ALL_LEVELS, Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmfd.merge.layout import Site
    from cmfd.sync.exchange import Exchanged
    from cmfd.sync.peer import Part, Peer, Taken

F = TypeVar("F", bound="Callable[..., Any]")

if TYPE_CHECKING:
    ParamOfText = click.ParamType[str]
else:
    ParamOfText = click.ParamType  # no generic class before click 8.4


class Depth(ParamOfText):
    """A number of steps, or all."""

    name = "depth"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it."""
        if value == "all" or (str(value).isdigit() and len(str(value)) <= _MOST_DIGITS):
            return str(value)
        return self.fail(f"{value!r} is no number of steps: 0, 1, 2, ... or all", param, ctx)


_MOST_DIGITS = 6

N_SHOWN = 20
"""How many packs that were left out are named."""


def remote(function: F) -> F:
    """Add the argument REMOTE: a name that the site gave it, or an address."""
    return click.argument("remote", default=remotes.DEFAULT, shell_complete=_complete_remote)(
        function
    )


def token_file(function: F) -> F:
    """Add ``--token-file``."""
    return click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="A file of yours alone with the token for https://HOST.",
    )(function)


def remote_of(name: str, url: str, there: str, file: Path | None) -> remotes.Remote:
    """Return a remote that is the same wherever a command is run."""
    token = "" if file is None else str(file.absolute())
    return remotes.Remote(name, remotes.absolute(url), there, token)


def cmf_server_of(site_dir: Path, remote: str) -> str | None:
    """Return the address of a remote that is a server of CMF's; None: it is a site."""
    is_address = remote.startswith(remotes.CMF)
    url = remote if is_address else remotes.named(open_site(site_dir), remote).url
    return url if url.startswith(remotes.CMF) else None


def everything(function: F) -> F:
    """Add ``--all``."""
    return click.option(
        "--all",
        "everything",
        is_flag=True,
        help="Compare all packs, and not only those since the last time.",
    )(function)


def choice(function: F) -> F:
    """Add the options that choose a part; the command gets a `Choice` as `chosen`."""

    @wraps(function)
    def command(**arguments: Any) -> Any:
        fields = {name: arguments.pop(name) for name in _CHOICES}
        depth = fields.pop("depth")
        chosen = Choice(**fields, depth=ALL_LEVELS if depth == "all" else int(depth))
        if depth != "0" and chosen.wanted() is None:
            raise click.UsageError("--depth is for a part: say of what, as --pipeline or --where.")
        return function(**arguments, chosen=chosen)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command  # type: ignore[return-value] # it takes what click gives


_CHOICES = ("pipeline", "stage", "user", "artifact", "where", "since_ns", "depth")
_OPTIONS = (
    click.option("--pipeline", default="", metavar="P", help="Only runs of this pipeline."),
    click.option("--stage", default="", metavar="S", help="Only runs of this stage."),
    click.option("--user", default="", metavar="U", help="Only this user's runs."),
    click.option("--artifact", default="", metavar="A", help="Only runs that read or wrote it."),
    click.option(
        "--since", "since_ns", type=options.Time(), metavar="TIME", help="Only what began since."
    ),
    click.option("--where", default="", metavar="FILTER", help="Only what it lets pass."),
    click.option(
        "--depth",
        type=Depth(),
        default="0",
        show_default=True,
        metavar="N|all",
        help="Also runs that these came from, so many steps up.",
    ),
)


def _complete_remote(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the names of remotes; a shell that completes gets an answer or nothing."""
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
        "part": _part_document(done.part),
    }


def _merge_document(taken: Taken | None) -> dict[str, Any] | None:
    if taken is None:
        return None
    return {
        "absorbed": taken.absorbed,
        "waiting": taken.waiting,
        "busy_holder": taken.busy_holder,
    }


def _part_document(part: Part | None) -> dict[str, int] | None:
    if part is None:
        return None
    return {"runs": part.n_runs, "ancestors": part.n_ancestors, "left_out": part.n_left_out}


def _part_text(part: Part) -> Iterator[str]:
    from cmfd.report import units  # noqa: PLC0415 - not for who wants to be told nothing

    ancestors = f", and {part.n_ancestors} that they came from" if part.n_ancestors else ""
    yield f"Part: {units.count(part.n_runs, 'run')}{ancestors}"
    if part.n_left_out:
        yield f"Left out: {units.count(part.n_left_out, 'run')} that these came from (--depth)"


def text(done: Exchanged, verb: str) -> str:
    """Return what an exchange moved, for people."""
    from cmfd.report import units  # noqa: PLC0415 - as above

    packs = f"{units.count(done.n_packs, 'pack')} ({units.size(done.n_bytes)})"
    lines = [f"{packs if done.n_packs else 'Nothing new'} {verb} {done.remote}"]
    lines += _part_text(done.part) if done.part is not None else ()
    if done.taken is not None:
        if done.taken.waiting:
            lines.append(f"{units.count(done.taken.waiting, 'pack')} wait there to be merged")
        if done.taken.busy_holder:
            lines.append(f"Left to the merger at work: {done.taken.busy_holder}")
    return "\n".join(lines)
