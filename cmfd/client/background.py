"""A thread for work that no logging call waits for: hashing, describing the environment."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from cmfd.client.deadline import Deadline
from cmfd.client.warn import tell

if TYPE_CHECKING:
    from collections.abc import Callable


IDLE_S = 1.0


class Background:
    """
    Runs tasks one after another on a thread that starts with the first.

    Attributes
    ----------
    deadline : Deadline
        By when its tasks should have come to an end; none as long as the process runs.

    Parameters
    ----------
    idle : function, optional
        Called on that thread when there has been nothing to do for `IDLE_S` after some task.
    """

    def __init__(self, idle: Callable[[], object] | None = None) -> None:
        self._idle = idle
        self.deadline = Deadline()
        # This queue and this lock, since a signal handler may come in the middle of `submit`, and
        # submit as well.
        self._tasks: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._n_done = 0

    def submit(self, task: Callable[[], object]) -> None:
        """Run `task` when those before it are done; its errors become warnings."""
        with self._lock:
            if self._thread is None:
                self._start()
        self._tasks.put(task)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="cmfd-work", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # there may be no more threads: then nobody must wait for this one
            self._thread = None
            raise

    def wait(
        self, timeout_s: float, *, most_s: float = 0.0, progress: Callable[[], int] | None = None
    ) -> bool:
        """
        Wait until all tasks so far are done.

        Parameters
        ----------
        timeout_s : float
            How long.
        most_s : float
            How long if meanwhile, each `timeout_s`, tasks were done or `progress` has gone on.
        progress : function, optional
            Tells how far a task has come.

        Returns
        -------
        bool
            Whether they are done.
        """
        if self._thread is None:
            return True
        done = threading.Event()
        self._tasks.put(done.set)
        until_s = time.monotonic() + most_s
        before = self._n_done, progress() if progress else 0
        while not done.wait(timeout_s):
            last, before = before, (self._n_done, progress() if progress else 0)
            if last == before or time.monotonic() >= until_s:
                return False
        return True

    def _run(self) -> None:
        while True:
            try:
                task = self._tasks.get(timeout=IDLE_S if self._idle else None)
            except Empty:
                if self._idle:
                    self._attempt(self._idle)
                task = self._tasks.get()
            self._attempt(task)
            self._n_done += 1

    @staticmethod
    def _attempt(task: Callable[[], object]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - law 1: the job goes on
            tell("background work", error)
