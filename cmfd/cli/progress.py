"""A progress bar on standard error, where somebody watches."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[int, int], None]

AFTER_S = 0.5
"""What is done by then needs no bar: to draw one takes longer than most pushes do."""


@contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Report | None]:
    """
    Show how far something is while the block runs, unless it is done at once.

    Parameters
    ----------
    title : str
        What is being done.
    quiet : bool
        Show nothing.

    Yields
    ------
    callable or None
        To be called with how much is done and how much there is; None when nobody watches.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as shown:
        yield _Bar(title, shown).report


class _Bar:
    """A bar that is there once something has taken its time, and more is to be done."""

    def __init__(self, title: str, shown: ExitStack) -> None:
        self._title = title
        self._shown = shown
        self._begun_s = time.monotonic()
        self._update: Report | None = None

    def report(self, n_done: int, n_all: int) -> None:
        if self._update is None and n_done < n_all and time.monotonic() >= self._begun_s + AFTER_S:
            self._update = self._drawn()
        if self._update is not None:
            self._update(n_done, n_all)

    def _drawn(self) -> Report:
        from rich.console import Console  # noqa: PLC0415 - slow to import, and rarely used
        from rich.progress import MofNCompleteColumn, Progress  # noqa: PLC0415 - as above

        columns = (*Progress.get_default_columns(), MofNCompleteColumn())
        bar = self._shown.enter_context(
            Progress(*columns, console=Console(stderr=True), transient=True)
        )
        task = bar.add_task(self._title, total=None)
        return lambda n_done, n_all: bar.update(task, completed=n_done, total=n_all)
