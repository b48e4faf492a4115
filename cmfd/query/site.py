"""
Questions to a site from Python.

    from cmfd.query.site import Site

    with Site() as site:
        for leader in site.best("digits", "test.accuracy", where="lr < 0.01").leaders:
            print(leader.execution, leader.value, leader.params)
        for model in site.impact("data/raw.h5").artifacts:
            print(model.path, model.digest)

Things go by the names that commands take, and answers are those that commands print as JSON.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd import config
from cmfd.query import artifacts as artifacts_
from cmfd.query import frames, metrics, repro, subject
from cmfd.query import runs as runs_
from cmfd.query import search as search_
from cmfd.query.impact import impact as impact_
from cmfd.query.index import open_index
from cmfd.query.lineage import lineage
from cmfd.query.seen import Intent, seen
from cmfd.query.walk import Way

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from cmfd.query.artifacts import ArtifactDetail, KnownArtifact
    from cmfd.query.frames import Like, Reduction
    from cmfd.query.impact import Impact
    from cmfd.query.lineage import Lineage
    from cmfd.query.metrics import Points
    from cmfd.query.repro import Difference, Recipe
    from cmfd.query.results import Run, RunDetail
    from cmfd.query.search import Found, LeaderBoard


class Site:
    """
    A site, opened to be asked; close it, or use it in a `with` block.

    Parameters
    ----------
    path : path-like, optional
        The site's directory. Default: as for commands, the nearest ``.cmfd`` upward, else
        ``$CMFD_SITE``, else the user's own.

    Raises
    ------
    NotFoundError
        There is no site, or nothing was ever merged into it.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else config.find_site(Path.cwd())
        self._stack = ExitStack()
        self._db = self._stack.enter_context(open_index(self.path))

    def __enter__(self) -> Site:  # noqa: PYI034 - typing has no Self before Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the site's index."""
        self._stack.close()

    def runs(self, **filters: Any) -> list[Run]:
        """Return runs, latest first; filters are those of `cmfd.query.runs.recent`."""
        return runs_.recent(self._db, **filters)

    def run(self, name: str) -> RunDetail:
        """Return everything about a run but its metrics' values: ``last``, an id, a job, a name."""
        return runs_.detail(self._db, runs_.find(self._db, name))

    def points(self, run: str, metric: str, **filters: Any) -> Points:
        """Return the values of a metric of a run, in columns; see `cmfd.query.metrics.points`."""
        return metrics.points(self._db, runs_.find(self._db, run), metric, **filters)

    def search(self, where: str = "", *, limit: int = 20) -> list[Found]:
        """Return executions that a filter lets pass, latest first; -1: all of them."""
        return search_.search(self._db, where, limit=limit)

    def best(
        self, pipeline: str, metric: str, *, using: str | None = None, **filters: Any
    ) -> LeaderBoard:
        """
        Return the executions of a pipeline that reached the best values of a metric.

        Parameters
        ----------
        pipeline, metric : str
            Of which, and by what.
        using : str, optional
            Only those that used this artifact, at any distance.
        **filters
            ``stage``, ``goal`` (``max``, ``min``), ``slice``, ``where`` (a filter), ``limit``.
        """
        used = None if using is None else subject.artifact(self._db, using)
        return search_.best(self._db, pipeline, metric, using=used, **filters)

    def up(self, what: str, **bounds: Any) -> Lineage:
        """Return what something was made from; bounds are ``depth``, ``stage``, ``until_ns``."""
        return lineage(self._db, subject.subject(self._db, what), Way.UP, **bounds)

    def down(self, what: str, **bounds: Any) -> Lineage:
        """Return what came of something; bounds are ``depth``, ``stage``, ``until_ns``."""
        return lineage(self._db, subject.subject(self._db, what), Way.DOWN, **bounds)

    def impact(self, what: str, *, limit: int = -1, until_ns: int | None = None) -> Impact:
        """Return all that an artifact reached, newest first, with a shortest path to each."""
        return impact_(self._db, subject.subject(self._db, what), limit=limit, until_ns=until_ns)

    def artifacts(self, **filters: Any) -> list[KnownArtifact]:
        """Return artifacts, latest first; filters are those of `cmfd.query.artifacts.newest`."""
        return artifacts_.newest(self._db, **filters)

    def artifact(self, what: str) -> ArtifactDetail:
        """Return an artifact with all that wrote and read it."""
        return artifacts_.detail(self._db, subject.artifact(self._db, what))

    def recipe(self, execution: str, *, check: bool = True) -> Recipe:
        """Return what it takes to do an execution again; `check`: look whether that is here."""
        return repro.recipe(self._db, subject.execution(self._db, execution), check=check)

    def diff(self, left: str, right: str) -> list[Difference]:
        """Return in what two executions differ."""
        one, other = (self.recipe(name, check=False) for name in (left, right))
        return repro.differences(one, other)

    def seen(  # noqa: PLR0913 - what makes it the same, each by name
        self,
        argv: Sequence[str],
        *,
        pipeline: str,
        stage: str,
        inputs: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        code: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """
        Return the ids of completed executions that did exactly this, latest first.

        Parameters
        ----------
        argv : sequence of str
            The command.
        pipeline, stage : str
            As what it was done.
        inputs : sequence of str
            Paths of what it reads, all of which count by their content.
        params : mapping, optional
            Parameters that it has.
        code : mapping, optional
            ``commit``, and what else `Recipe.code` says of changes; default: any.
        """
        of = list((params or {}).items())
        return seen(self._db, Intent(pipeline, stage, argv, code, inputs, of))

    def frame(self, name: str, where: str = "", *, like: Like = "pandas") -> Any:
        """
        Return a table as a frame of pandas, polars or Arrow; see `cmfd.query.frames.frame`.

        Parameters
        ----------
        name : str
            ``runs``, ``executions``, ``processes``, ``params``, ``facts``, ``metrics``, ``points``,
            ``artifacts``, ``events``, ``notes``, ``energy``, ``packs``.
        where : str
            A filter: only what belongs to executions that it lets pass, or to their runs.
        like : str
            ``pandas``, ``polars`` or ``arrow``.
        """
        return frames.frame(self._db, name, where, like=like)

    def params(self, where: str = "", *, like: Like = "pandas") -> Any:
        """Return a frame with a row for each execution and a column for each parameter."""
        return frames.params(self._db, where, like=like)

    def metrics(
        self, where: str = "", *, over: Reduction | None = None, like: Like = "pandas"
    ) -> Any:
        """
        Return a frame with a row for each step and a column for each metric.

        Parameters
        ----------
        where : str
            A filter of executions.
        over : str, optional
            ``mean``, ``min`` or ``max`` over ranks; by default each rank has its rows.
        like : str
            ``pandas``, ``polars`` or ``arrow``.
        """
        return frames.metrics(self._db, where, over=over, like=like)
