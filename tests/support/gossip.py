"""Processes that merge, push and pull, and are killed at one of their calls."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.mergers import python

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import open_site
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer
from cmfd.sync.remotes import Remote

def act(what, here, there, name):
    site, other = open_site(Path(here)), open_site(Path(there))
    if what == "merge":
        merge_site(site.path, filter(Path.is_dir, [other.packs]))
    else:
        {"push": push, "pull": pull}[what](site, Remote(name, there), SitePeer(other))

def kill_at(number):
    calls = iter(range(number - 1, -1, -1))
    def count(frame, event, argument):
        if event == "c_call" and next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)

for line in sys.stdin:
    number, *words = json.loads(line)
    pid = os.fork()
    if pid == 0:
        kill_at(number)
        act(*words)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

MOST_CALLS = 12_000
"""Merging or sending a few small packs for the first time calls functions written in C so often."""


class Mortals:
    """
    What starts such processes.

    They are copies of one that is small and has all imported, so that the nth call is the same each
    time.

    Parameters
    ----------
    parent : subprocess.Popen
        What they are copies of.
    """

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        self._parent = parent

    def act(self, what: str, here: Path, there: Path, name: str, *, kill_at: int) -> None:
        """
        Have one merge, push or pull, and wait for its end.

        Parameters
        ----------
        what : str
            ``merge``, ``push`` or ``pull``.
        here, there : Path
            The site that does it, and the other.
        name : str
            What the other is called there.
        kill_at : int
            At which call of a function that is written in C it is killed by SIGKILL.
        """
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([kill_at, what, str(here), str(there), name]) + "\n")
        self._parent.stdin.flush()
        assert int(self._parent.stdout.readline()) in (0, -signal.SIGKILL)


@contextmanager
def mortals() -> Iterator[Mortals]:
    """Give what starts processes that are killed."""
    with python(_PROGRAM) as parent:
        yield Mortals(parent)
