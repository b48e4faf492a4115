"""What comes after the command of `cmfd run`: into the site, and read back from there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cmfd.errors import CmfdError, DaemonUnavailableError, IncompleteError, JournalError
from cmfd.merge.batch import merge_site
from cmfd.query import runs
from cmfd.query.index import open_index
from cmfd.report.encode import to_json
from cmfd.report.summary import problem_lines, summary_lines
from cmfd.report.text import printable_lines
from cmfd.wire.control import request
from cmfd.wire.journal import EVENTS, SUFFIX, events, read_journal
from cmfd.wire.messages import (
    Refused,
    RunBegin,
    SealReply,
    SealRequest,
    StatusRequest,
    decode_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.client.start import Plan
    from cmfd.config import Settings
    from cmfd.merge.report import MergeReport
    from cmfd.query.results import RunDetail
    from cmfd.wire.messages import AnyRecord

_SEAL_S = 60.0
"""How long the daemon may take to write and publish a run's pack."""

_ANSWER_S = 5.0
"""How long it may take to say that it is there."""

_MERGER_S, _MERGER_QUIETLY_S = 5.0, 1.0
"""How long another merger of the site, the daemon's often, is waited for to show what it took."""

_LOOK_AGAIN_S = 0.05


def finish(plan: Plan, settings: Settings, *, as_json: bool, quiet: bool) -> None:
    """
    Store a run and print its summary on standard error.

    Parameters
    ----------
    plan : Plan
        Which run, and which site.
    settings : Settings
        Where its records are, and whether to merge at all.
    as_json : bool
        Print the summary as one line of JSON.
    quiet : bool
        Print only what went wrong.
    """
    try:
        found = store(plan, settings, patience_s=_patience_s(plan, quiet=quiet))
    except IncompleteError as error:
        click.echo(f"cmfd: {printable_lines(str(error))}", err=True)
        return
    if found is None:
        return
    if quiet:
        lines = list(problem_lines(found))
    elif as_json:
        lines = [to_json({"site": plan.site, **msgspec.structs.asdict(found)}, indent=0)]
    else:
        lines = list(summary_lines(found, Path(plan.site)))
    for line in lines:
        click.echo(line, err=True)


def _patience_s(plan: Plan, *, quiet: bool) -> float:
    """Return how long another merger is waited for: in a job not at all, which it would prolong."""
    if plan.run.derived_from != "new":
        return 0.0
    # A loop of many short commands that shows nothing is hardly held up.
    return _MERGER_QUIETLY_S if quiet else _MERGER_S


def store(plan: Plan, settings: Settings, *, patience_s: float = 0.0) -> RunDetail | None:
    """
    Seal a run, merge it into its site, and read it back.

    Parameters
    ----------
    plan : Plan
        Which run, and which site.
    settings : Settings
        Where its records are, and whether to merge at all.
    patience_s : float
        How long another merger of the site is waited for.

    Returns
    -------
    RunDetail or None
        None where merging is left to others (`Settings.auto_merge`).

    Raises
    ------
    IncompleteError
        It is not in the site; the message says where it is and what to do.
    """
    site = Path(plan.site)
    try:
        journals = _sealed(plan, settings)
        if settings.system or not settings.auto_merge:
            return None
        done = _merged(site, journals, patience_s)
        if done.busy_holder:
            raise IncompleteError(f"it is left to the merger at work: {done.busy_holder}")
        with open_index(site) as db:
            return runs.detail(db, runs.find(db, plan.run.run.hex()))
    except CmfdError as error:
        raise IncompleteError(
            f"run {plan.run.run.hex()} is not in {site} yet: {error}\nIt is kept in "
            f"{settings.node_dir}. To merge it later: cmfd merge {settings.node_dir}"
        ) from error


def _merged(site: Path, journals: list[Path], patience_s: float) -> MergeReport:
    until = time.monotonic() + patience_s
    done = merge_site(site, journals)
    while done.busy_holder and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN_S)
        done = merge_site(site)  # what was in journals is in the inbox by now
    return done


def _sealed(plan: Plan, settings: Settings) -> list[Path]:
    """Have the daemon publish the run's pack; without one, return the run's journals."""
    if not _answers(settings):
        return list(journals_of(plan.run.run, settings.own_journal_dir))
    question = SealRequest(run=plan.run.run, site=plan.site)
    answer = request(settings.node_dir, question, _SEAL_S, system=settings.system)
    if isinstance(answer, SealReply) and answer.problem:
        raise IncompleteError(answer.problem)
    if isinstance(answer, Refused):
        raise IncompleteError(f"the daemon refused to seal it: {answer.reason}")
    return []


def _answers(settings: Settings) -> bool:
    """Tell whether a daemon is there and alive: one that was stopped would be waited for."""
    try:
        request(settings.node_dir, StatusRequest(), _ANSWER_S, system=settings.system)
    except DaemonUnavailableError:
        return False
    return True


def journals_of(run: bytes, directory: Path) -> Iterator[Path]:
    """Yield the journals in a directory whose processes took part in a run."""
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        if any(isinstance(record, RunBegin) and record.run == run for record in _records(path)):
            yield path


def _records(path: Path) -> Iterator[AnyRecord]:
    """Yield what a journal says; nothing of one that cannot be read, as somebody else's."""
    try:
        _, blocks = read_journal(path)
    except JournalError:
        return
    for block in blocks:
        if block.kind == EVENTS:
            yield from filter(None, map(_record, events(block.data)))


def _record(payload: bytes) -> AnyRecord | None:
    """Decode a record; nothing for one of a newer client's."""
    try:
        return decode_record(payload)
    except msgspec.MsgspecError:
        return None
