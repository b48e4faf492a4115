"""
What `cmfd run` records of its command: before it, while it runs, and when it has ended.

Nothing here may change the command's run or its exit code (law 1): each step is `harmless`, which
turns whatever goes wrong into one warning.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd import identity
from cmfd.client import start
from cmfd.client.artifacts import Said, begin_observed, identify_observed
from cmfd.client.execution import Execution
from cmfd.client.launch import daemon_runs, ensure_daemon
from cmfd.client.ranks import rank_from
from cmfd.client.redact import scrub_argv
from cmfd.client.session import session
from cmfd.client.warn import harmless, warn_once
from cmfd.model import AROUND, GROUP, VARIANT, Status
from cmfd.wire.endpoint import listener
from cmfd.wire.messages import RunEnd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.cli.child import Ended
    from cmfd.cli.observe import Observer, Seen
    from cmfd.client.artifacts import Place
    from cmfd.model import Direction

_DAEMON_STARTS_S = 5.0
"""How long a daemon that was just started may take to listen."""

_CANCELLING = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


class Order(NamedTuple):
    """What `cmfd run` was told."""

    command: Sequence[str]
    pipeline: str | None = None
    stage: str | None = None
    site: Path | None = None
    name: str = ""
    params: Sequence[tuple[str, Any]] = ()
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    group: str = ""
    variant: str = ""
    auto_io: bool = False
    io_include: Sequence[str] = ()
    io_exclude: Sequence[str] = ()
    dvc: str | None = None
    """``add`` or ``commit``: have DVC store the outputs."""
    dvc_push: bool = False
    cmf_compat: bool = False
    """Put a `cmflib` before Python programs that records what they log with CMF's."""


class Wrapped:
    """
    A command as an execution.

    Parameters
    ----------
    order : Order
        What to run, and as what.

    Attributes
    ----------
    plan : Plan or None
        What it is an execution of; None where nothing can be recorded.
    """

    strict = False  # for `harmless`: a wrapper never is

    def __init__(self, order: Order) -> None:
        self.order = order
        self.session = session()
        self.settings = self.session.settings
        self.rank = rank_from(os.environ)
        self.plan: start.Plan | None = None
        self._execution: Execution | None = None
        self._observer: Observer | None = None
        self._told: dict[tuple[Direction, str], tuple[int, Place]] = {}
        self._preparing = threading.Thread(target=self._prepare, name="cmfd-prepare", daemon=True)

    @harmless()
    def begin(self) -> None:
        """Record what is about to run."""
        self.plan = plan = self._plan()
        begin = start.first_records(
            plan, self.rank, self.order.name, role="wrapper",
            command=shlex.join(scrub_argv(self.words())),
        )  # fmt: skip
        self._execution = Execution(
            self.session, plan.execution, plan.run.run, plan.pipeline, plan.stage, self.rank, begin
        )
        self._execution.begin()
        self._execution.params(dict(self.order.params))
        # Said of the run where it is one, it holds for all that runs within.
        subject = plan.run.run if self.is_whole_run(plan) else plan.execution
        for key, value in ((GROUP, self.order.group), (VARIANT, self.order.variant)):
            if value:
                self._execution.fact(key, value, subject=subject)
        for said in map(Said.of, self.order.inputs):
            self._execution.input(said.path, said.kind, datasets=said.datasets)
        if self.order.auto_io:
            self._observer = self._observe(plan)
        if self.order.cmf_compat:  # it is not what the program calls an execution
            self._execution.tag(AROUND)

    def words(self) -> Sequence[str]:
        """Return the command as it is recorded."""
        return self.order.command

    def _plan(self) -> start.Plan:
        environ, order = os.environ, self.order
        run = identity.run_from(environ) or identity.new_run()
        step = identity.step_from(environ)
        outer = environ.get("CMFD_EXECUTION", "")
        pipeline = order.pipeline or start.default_pipeline(start.cwd())
        stage = order.stage or stage_of(order.command)
        key = (step or self.session.instance.hex(), pipeline, stage)
        return start.Plan(
            run=run,
            execution=identity.execution_id(run.run, *key, 0),
            parent=identity.parse(outer) if outer else None,
            pipeline=pipeline,
            stage=stage,
            step=step,
            site=str(order.site or start.site_of(environ)),
        )

    def _observe(self, plan: start.Plan) -> Observer:
        from cmfd.cli.observe import Observer, Rules  # noqa: PLC0415 - only where it is wanted

        own = (f"{self.settings.node_dir}/", f"{self.settings.journal_dir}/", f"{plan.site}/")
        return Observer(Rules(own, self.order.io_include, self.order.io_exclude))

    def environ(self) -> dict[str, str]:
        """Return the command's environment."""
        if self.plan is None:
            return dict(os.environ)
        handed_down = {
            "CMFD_RUN": self.plan.run.run.hex(),
            "CMFD_EXECUTION": self.plan.execution.hex(),
            "CMFD_PIPELINE": self.plan.pipeline,
            "CMFD_STAGE": self.plan.stage,
            "CMFD_SITE": self.plan.site,
            "CMFD_NODE_DIR": str(self.settings.node_dir),
        }
        environ = {**os.environ, **handed_down}
        if self.order.cmf_compat:
            from cmfd import compat  # noqa: PLC0415 - only where it is wanted

            environ |= compat.environ(environ, self.order.dvc, push=self.order.dvc_push)
        return self._observer.environ(environ) if self._observer else environ

    @harmless()
    def watch(self) -> None:
        """Do what can be done while the command runs, on other threads."""
        if self._execution is None or self.plan is None:
            return
        self._preparing.start()
        if self._observer is not None:
            declared = [Said.of(text).path for text in (*self.order.inputs, *self.order.outputs)]
            self._observer.watch(declared, self._tell_observed)
        if self.rank.rank == 0:
            execution, run = self._execution, self.plan.run.run
            self.session.background.submit(lambda: start.tell_of_job(execution, run))
            self.session.describe_later(
                execution, lambda: start.describe(execution, self.session, self.words())
            )

    @harmless()
    def _prepare(self) -> None:
        """See to it that a daemon runs, and import what comes after the command."""
        if self.settings.autostart:
            ensure_daemon(self.settings)
        import cmfd.cli.stored  # noqa: F401, PLC0415 - so the command does not wait for it

    def is_whole_run(self, plan: start.Plan) -> bool:
        """Tell whether the run ends as this command does."""
        return plan.run.derived_from == "new"

    @harmless()
    def end(self, ended: Ended) -> None:
        """Record how the command ended, and hand over all that was recorded."""
        if self._execution is None or self.plan is None:
            return
        outputs = [Said.of(text) for text in self.order.outputs]
        if self.order.dvc is None:
            self._record_outputs(outputs)
        self._record_observed(outputs)
        status = status_of(ended)
        # One of several ranks says how it ended itself, not how all of them did.
        self._execution.close(
            status, ended.exit_code, ended.signal, whole=self.rank.size == 1, usage=ended.usage
        )
        if self.is_whole_run(self.plan):
            self.session.append(
                RunEnd(
                    at_ns=time.time_ns(), run=self.plan.run.run, status=status.value,
                    exit_code=ended.exit_code, signal=ended.signal,
                )
            )  # fmt: skip
        if self.order.dvc is not None:
            # Now that it is said how the command ended, for this takes a while; and before they are
            # recorded: what DVC has stored is not read a second time, and is said to be there.
            self._store_outputs(outputs, self.order.dvc)
            self._record_outputs(outputs)
        if self._preparing.ident is not None:
            self._preparing.join(_DAEMON_STARTS_S)
            if self.settings.autostart:
                # One that was killed meanwhile had part of the run, which no journal has any more.
                ensure_daemon(self.settings)
        await_daemon(self.settings.node_dir)
        self.session.close()

    def _record_outputs(self, outputs: Sequence[Said]) -> None:
        assert self._execution is not None, "it is recorded"
        for said in outputs:
            self._execution.output(said.path, said.kind, datasets=said.datasets)

    @harmless()
    def _tell_observed(self, one: Seen) -> None:
        """Record a file while the command runs: what it is, is told when that has ended."""
        if self._execution is not None:
            token = begin_observed(self._execution, *one)
            self._told[one.direction, one.place.absolute] = (token, one.place)

    @harmless()
    def _record_observed(self, outputs: Sequence[Said]) -> None:
        if self._observer is None or self._execution is None:
            return
        declared = [said.path for said in (*map(Said.of, self.order.inputs), *outputs)]
        try:
            seen, n_left = self._observer.found(declared)
        except TimeoutError as error:
            warn_once("observed", f"cmfd: {error}")
            seen, n_left = [], 0
        for one in seen:
            told = self._told.pop((one.direction, one.place.absolute), None)
            token = told[0] if told else begin_observed(self._execution, *one)
            identify_observed(self._execution, token, one.place)
        # it is gone, or was written after it was read
        for token, place in list(self._told.values()):
            identify_observed(self._execution, token, place)
        if n_left:
            warn_once(
                "observed",
                f"cmfd: {n_left} more files were read or written than are recorded one by one; "
                "name their directories with -i and -o",
            )

    @harmless()
    def _store_outputs(self, outputs: Sequence[Said], how: str) -> None:
        """Have DVC store what was written; interrupted, the rest is recorded all the same."""
        from cmfd.dvc.keep import keep  # noqa: PLC0415 - only where it is asked for

        there = [said.path for said in outputs if os.path.lexists(said.path)]
        try:
            problems = keep(there, how, push=self.order.dvc_push)
        except KeyboardInterrupt:
            problems = ["interrupted; DVC has not stored all outputs"]
        for problem in problems:
            warn_once(problem, f"cmfd: {problem}")

    @harmless()
    def store(self, *, as_json: bool, quiet: bool) -> None:
        """Put the run into its site and print a summary, where this is the one to do so."""
        if self.plan is None or self.rank.rank or self.plan.run.derived_from == "inherited":
            return  # one of many ranks, or within a run that somebody else looks after
        if self._execution is None or not self._execution._began:  # noqa: SLF001 - half of it
            return  # there was no room for a record, as was said; so none is kept either
        from cmfd.cli.stored import finish  # noqa: PLC0415 - imported while the command ran

        finish(self.plan, self.settings, as_json=as_json, quiet=quiet)


def stage_of(command: Sequence[str]) -> str:
    """
    Name a stage after a command: its script or module if it has one, else its program.

    Parameters
    ----------
    command : sequence of str
        As ``python -u train.py``, ``mpirun -n 4 ./heat``, ``python -m tools.prepare``.
    """
    for before, word in pairwise(command):
        if before == "-m" and word.replace(".", "").isidentifier():
            return word
        if Path(word).suffix in (".py", ".sh", ".R", ".jl", ".pl"):
            return Path(word).stem
    return start.default_stage(command[0])


def param_of(text: str) -> tuple[str, Any]:
    """
    Read ``key=value``; the value is JSON if it can be, else text.

    Raises
    ------
    ValueError
        There is no key.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"{text!r} is not key=value")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def status_of(ended: Ended) -> Status:
    """Return how an execution stands whose command ended so."""
    if ended.signal in _CANCELLING:
        return Status.CANCELLED
    return Status.COMPLETED if ended.exit_code == 0 else Status.FAILED


def await_daemon(node_dir: Path) -> bool:
    """Wait until the daemon that runs listens; tell whether one does."""
    deadline_s = time.monotonic() + _DAEMON_STARTS_S
    while listener(node_dir) is None:
        if not daemon_runs(node_dir) or time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True
