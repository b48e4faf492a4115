"""
The object a program logs to: parameters, metrics, inputs and outputs of an execution.

`Execution.metric` and `Execution.metrics` are the hot path. They do one thing:
take the next slot of the stream's block and pack a record into it. Whatever
does not fit that (a first value of a name, a full block, a value that is no
float) leaves through an exception, which costs nothing where none is raised,
and is dealt with in `cmfd.client.slow`.
"""

from __future__ import annotations

import math
import os
import resource
import time
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, SupportsIndex

from cmfd.client import artifacts, slow
from cmfd.client.values import as_number, typed
from cmfd.client.warn import harmless, tell
from cmfd.model import Direction, Status
from cmfd.wire.journal import POINT
from cmfd.wire.messages import Environment, ExecutionEnd, Fact, Param, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    from cmfd.client.ranks import Rank
    from cmfd.client.session import Session

_time_ns = time.time_ns
_pack_point = POINT.pack_into

REDUCTIONS = ("min", "mean", "max", "std", "argmin", "argmax")
"""What `Execution.metric_reduced` can log of a value over all ranks."""


class Slice(NamedTuple):
    """A part of a data set, by the name that an execution gave it."""

    name: str

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Execution:
    """
    One time a stage runs, seen from one process. Made by `cmfd.start`.

    No method raises or waits, unless the ``strict`` setting is on: a failure is
    one warning on the ``cmfd`` logger, and the program goes on. (A call that
    does not fit a method's signature is a TypeError, as everywhere in Python.)
    All methods may be called from any thread, and in forked children. Every
    value is safe from a kill of this process once the call has returned.

    Attributes
    ----------
    id : bytes
        16 bytes; the same in all ranks.
    run : bytes
        The run this is part of; one for all ranks and steps of a job.
    pipeline, stage : str
        What it is an execution of.
    rank : Rank
        This process's place among the ranks.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what an execution is
        self, session: Session, execution: bytes, run: bytes, pipeline: str, stage: str,
        rank: Rank, begin: list[Record], comm: Any = None,
    ) -> None:  # fmt: skip
        self.id = execution
        self.run = run
        self.pipeline = pipeline
        self.stage = stage
        self.rank = rank
        self.ended = False
        self.strict = session.settings.strict
        self.session = session
        self._begin = begin
        self._comm = comm
        self._began = False
        self._clear()
        session.executions.add(self)
        session.running.add(self)

    def _clear(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.used_before_s = (used.ru_utime, used.ru_stime)  # of the CPU, by this process
        self._points = self.session.points
        self._series: dict[str, int] = {}
        self._int_series: dict[str, int] = {}
        self._steps: dict[str, Iterator[int]] = {}
        self._groups: dict[tuple[str, ...], slow.Group] = {}
        self._sets: dict[tuple[str, ...], Iterator[int]] = {}  # steps of those that get no rows
        self._row: slow.Group = slow.NO_GROUP  # the group of the last row

    def after_fork(self) -> None:
        """In a forked child: the same execution and rank, a journal of its own."""
        self._clear()
        self._begin = slow.as_worker(self._begin)
        self._began = False

    def begin(self) -> None:
        """Write what this execution is; once a journal, before anything else."""
        if not self._began:
            for record in self._begin:
                self.session.append(record)
            self._began = True  # not before: on a full disk, all of it is said again

    def append(self, record: Record) -> None:
        """Write an event record of this execution."""
        self.begin()
        self.session.append(record)

    # -- metrics ---------------------------------------------------------------------------

    def metric(
        self, name: str, value: SupportsFloat, step: SupportsIndex | None = None,
        *, slice: Slice | str | None = None,  # noqa: A002 - the word of the model
    ) -> None:  # fmt: skip
        """
        Log one value of a metric.

        Parameters
        ----------
        name : str
            The metric; use one unit per name, and say it in the name.
        value : float or int
            Kept exactly: every float, NaN and infinities, every 64-bit integer. Anything with
            ``__float__`` will do (NumPy and PyTorch scalars).
        step : int, optional
            Iteration, epoch or the like; by default how many values of `name` this process has
            logged without one.
        slice : Slice or str, optional
            Which part of the data it is of, as `slice` named it: kept as ``name[slice]``.
        """
        if slice is not None:
            name = f"{name}[{getattr(slice, 'name', slice)}]"
        offset = -1
        try:
            if type(value) is float:
                if step is None:
                    step = next(self._steps[name])
                series = self._series[name]
                buffer, slots, mark = self._points.cursor
                offset = next(slots)
                _pack_point(buffer, offset, _time_ns(), step, value, series, mark)
                return
        except BaseException as error:
            if offset >= 0:
                slow.void_point(buffer, offset, mark)
            if not isinstance(error, Exception):  # the interrupt key, say
                raise
            # a user's step may raise anything; the long way says what
        try:
            slow.metric(self, name, value, step)
        except Exception as error:
            if self.strict:
                raise
            tell("metric", error)

    def metrics(
        self, values: Mapping[str, SupportsFloat], step: SupportsIndex | None = None
    ) -> None:
        """
        Log several metrics at one step; for more than two, cheaper than `metric` for each.

        Parameters
        ----------
        values : mapping of str to float
            As in `metric`. Log the same names in the same order each time: every set of names
            has a block of its own in the journal, until there are too many (the values of
            further ones are logged singly). A name first logged here as a float stays
            one: an integer beyond 2**53 that follows is rounded to it.
        step : int, optional
            As in `metric`, counted per set of names.
        """
        offset = -1
        try:
            row = self._row
            if list(values) != row[0]:
                row = self._row = self._groups[tuple(values)]
            _, stream, pack_into, steps = row
            if step is None:
                step = next(steps)
            buffer, slots, mark = stream.cursor
            offset = next(slots)
            pack_into(buffer, offset, _time_ns(), step, *values.values(), 1, mark)
        except BaseException as error:
            if offset >= 0:
                slow.void_row(buffer, offset, row, mark)
            if not isinstance(error, Exception):  # as above
                raise
        else:
            return
        try:
            slow.metrics(self, values, step)
        except Exception as error:
            if self.strict:
                raise
            tell("metrics", error)

    @harmless()
    def metric_reduced(
        self,
        name: str,
        value: SupportsFloat,
        step: SupportsIndex | None = None,
        *,
        op: Iterable[str] = REDUCTIONS,
    ) -> dict[str, float] | None:
        """
        Log how a value spreads over the ranks, and which rank holds the extremes.

        Collective: every rank of the communicator given to `cmfd.start` must call it. Rank 0
        logs the metrics ``<name>.min``, ``.mean``, ``.max``, ``.std`` (of the population),
        ``.argmin`` and ``.argmax`` (ranks); without a communicator the value alone is all ranks.

        Parameters
        ----------
        name : str
            The metric.
        value : float
            This rank's value.
        step : int, optional
            As in `metric`.
        op : iterable of str
            Which of `REDUCTIONS` to log.

        Returns
        -------
        dict of str to float, or None
            What was logged, on rank 0; None on the others.
        """
        try:
            number = float(as_number(value))
        except Exception as error:
            if self.strict:
                raise
            tell("metric_reduced", error)
            number = math.nan  # law 1: the other ranks wait for this one
        gathered = [number] if self._comm is None else self._comm.gather(number, root=0)
        if gathered is None:
            return None
        found = slow.reduce(gathered)
        chosen = {f"{name}.{key}": found[key] for key in op}
        self.metrics(chosen, step)
        return chosen

    # -- parameters and facts --------------------------------------------------------------

    @harmless()
    def param(self, key: str, value: Any) -> None:
        """
        Record a parameter, with its type.

        Parameters
        ----------
        key : str
            Its name.
        value : bool, int, float, str, None or JSON-like
            Kept exactly; lists and dictionaries are kept as JSON. If ranks give different
            values, all are kept and shown as a conflict.
        """
        kind, stored = typed(value)
        self.append(
            Param(at_ns=_time_ns(), execution=self.id, key=str(key), type=kind.value, value=stored)
        )

    @harmless()
    def params(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Record several parameters: a mapping, keywords, or both. See `param`."""
        for key, value in {**(values or {}), **more}.items():
            self.param(key, value)

    @harmless()
    def tag(self, key: str, value: Any = True) -> None:  # noqa: FBT002 - a bare tag is a true one
        """Set a tag of this execution; the latest value set anywhere is the one shown."""
        self.fact(key, value)

    @harmless()
    def fact(self, key: str, value: Any, subject: bytes | None = None) -> None:
        """Set a register of this execution, or of its run if `subject` is the run's id."""
        kind, stored = typed(value)
        self.append(
            Fact(
                at_ns=self.session.now_ns(), subject=subject or self.id, key=str(key),
                type=kind.value, value=stored,
            )
        )  # fmt: skip

    # -- artifacts -------------------------------------------------------------------------

    def input(
        self, path: str | os.PathLike[str], kind: str = "dataset", *,
        datasets: Iterable[str] | None = None, digest: str = "full", **properties: Any,
    ) -> str:  # fmt: skip
        """
        Record that this execution reads a file or directory.

        The content's digest (DVC's) is computed on a thread of its own, once on a node for all its
        processes; the call returns at once. Content that is changed before it was read is recorded
        without one.

        Parameters
        ----------
        path : str or path-like
            File or directory, as it is now.
        kind : str
            ``dataset``, ``model``, ``label`` or another `cmfd.model.ArtifactKind`.
        datasets : iterable of str, optional
            Of an HDF5 file, which data sets are read (or groups: all that is below them); each is
            an artifact of its own, and the others of the file are not. Needs ``cmfd[hdf5]``.
        digest : str
            ``full``, or ``quick`` for very large files: of the size and samples only, and marked
            so until `cmfd artifacts rehash` reads all of it.
        **properties
            Kept with the event, as JSON.

        Returns
        -------
        str
            `path`, to open: ``np.load(ex.input("mesh.npy"))``.
        """
        self._touch(Direction.INPUT, path, kind, properties, datasets, digest)
        return _openable(path)

    def output(
        self, path: str | os.PathLike[str], kind: str = "dataset", *,
        datasets: Iterable[str] | None = None, digest: str = "full", **properties: Any,
    ) -> str:  # fmt: skip
        """
        Record that this execution wrote a file or directory; call it when that is complete.

        Parameters and return value are those of `input`.
        """
        self._touch(Direction.OUTPUT, path, kind, properties, datasets, digest)
        return _openable(path)

    def model(self, path: str | os.PathLike[str], **properties: Any) -> str:
        """Record that this execution wrote a model: `output` with ``kind="model"``."""
        return self.output(path, "model", **properties)

    @harmless()
    def continues(self, what: Execution | bytes | str | os.PathLike[str]) -> None:
        """
        Record what this execution goes on from.

        The starts of a job that went back into the queue know of each other without it.

        Parameters
        ----------
        what : Execution, bytes, str or path-like
            Another execution, or its id; else the checkpoint that this one begins with: a file or
            directory, recorded as an input of kind ``checkpoint``.
        """
        artifacts.go_on_from(self, what.id if isinstance(what, Execution) else what)

    def slice(
        self, name: str, of: str | os.PathLike[str] | None = None, *,
        rows: Iterable[int | tuple[int, int]] | None = None,
        files: Iterable[str | os.PathLike[str]] | None = None,
        direction: str = "input", **properties: Any,
    ) -> Slice:  # fmt: skip
        """
        Name a part of a data set that this execution uses, to log metrics for.

        A slice is identified by its members: the same rows of the same content are the same slice,
        under whatever name, in whatever run.

        Parameters
        ----------
        name : str
            What it is called here.
        of : path-like, optional
            The file or directory that it is part of; ``hits.h5::/train/x`` is a data set inside an
            HDF5 file.
        rows : iterable of int or (int, int), optional
            Row numbers of `of`, and ranges ``(first, end)`` of them.
        files : iterable of path-like, optional
            Whole files instead of rows.
        direction : str
            ``input``, or ``output`` if the choice itself is a result of this execution.
        **properties
            Kept with it, as JSON: the query that chose them, say.

        Returns
        -------
        Slice
            For `metric`: ``ex.metric("accuracy", 0.9, slice=barrel)``.
        """
        self._touch_slice(name, of, rows, files, direction, properties)
        return Slice(str(name))

    @harmless(called="input() or output")
    def _touch(self, direction: Direction, *said: Any) -> None:
        artifacts.touch(self, direction, *said)

    @harmless(called="slice")
    def _touch_slice(  # noqa: PLR0913, PLR0917 - as above
        self, name: str, of: Any, rows: Any, files: Any, direction: str, properties: Any
    ) -> None:
        artifacts.touch_slice(self, Direction(direction), str(name), of, rows, files, properties)

    @harmless()
    def describe(self, document: str, at_ns: int | None = None) -> None:
        """Record where and with what this execution runs, a JSON object as text."""
        if self.session.is_over:
            return  # found out too late, which is recorded
        self.append(Environment(at_ns=at_ns or _time_ns(), execution=self.id, document=document))

    # -- ending ----------------------------------------------------------------------------

    @harmless(lambda *_args, **_kwargs: False)
    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until the daemon has committed what was logged; tell whether it has."""
        return self.session.flush(timeout_s)

    @harmless()
    def end(
        self, status: str = "completed", exit_code: int | None = None, signal: int | None = None
    ) -> None:
        """
        End this process's part in the execution; leaving a ``with`` block does it as well.

        Parameters
        ----------
        status : str
            ``completed``, ``failed`` or ``cancelled``.
        exit_code, signal : int, optional
            How the process ended, where that is known.
        """
        self.close(Status(status), exit_code, signal)
        self.session.settle()

    def close(
        self, status: Status, exit_code: int | None = None, signal: int | None = None,
        *, whole: bool = False, usage: resource.struct_rusage | None = None,
    ) -> None:  # fmt: skip
        """
        Write how it ended, without waiting.

        Parameters
        ----------
        status, exit_code, signal
            As in `end`.
        whole : bool
            Of the execution, and not just this rank.
        usage : struct_rusage, optional
            What it used; of this process if not given.
        """
        if self.ended:
            return
        self.begin()
        self.ended = True
        self.session.running.discard(self)
        if whole:
            self.append(
                ExecutionEnd(
                    at_ns=self.session.now_ns(), execution=self.id, status=status.value,
                    exit_code=exit_code, signal=signal,
                )
            )  # fmt: skip
        self.session.report(self, status, exit_code, signal, usage)

    def __enter__(self) -> Execution:  # noqa: PYI034 - Self is in no Python before 3.11
        """Return the execution itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """End it: cancelled by Ctrl-C, failed if an exception passes through, else completed."""
        status, exit_code = Status.COMPLETED, None
        if isinstance(error, SystemExit):
            exit_code = slow.exit_code_of(error)
            status = Status.FAILED if exit_code else Status.COMPLETED
        elif isinstance(error, KeyboardInterrupt):
            status = Status.CANCELLED  # as `cmfd run` says of a command that SIGINT ended
        elif error is not None:
            status = Status.FAILED
        self.end(status.value, exit_code)


def _openable(path: str | os.PathLike[str]) -> str:
    """Return the path; what is none is handed back as well, for whoever opens it to complain."""
    return os.fspath(path) if isinstance(path, os.PathLike) else path
