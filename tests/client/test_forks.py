"""A program may fork at any time, whatever threads of cmfd's are at."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import cmfd

if TYPE_CHECKING:
    from pathlib import Path

_FORKS_MEANWHILE = """
import os, signal, sys, threading
from cmfd.forks import no_fork

sys.began, sys.goes_on = threading.Event(), threading.Event()

def work():
    with no_fork():
        import half

threading.Thread(target=work, daemon=True).start()
sys.began.wait()
os.register_at_fork(before=sys.goes_on.set)  # the fork has begun
child = os.fork()
if not child:
    signal.alarm(60)
    import half
    os._exit(half.WHOLE)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

_IMPORTS = """
import sys, threading
from cmfd import forks

class Finder:
    def find_spec(self, name, *_):
        if threading.current_thread().name.startswith("cmfd-") and not forks._importing._is_owned():
            print(threading.current_thread().name, name)

sys.meta_path.insert(0, Finder())
import cmfd

with cmfd.start() as ex:
    ex.metric("loss", 1.0)
    ex.params(layers=[1, 2])
    ex.input(__file__)
    ex.input(".")
    ex.output(__file__, digest="quick")
    ex.slice("rows", of=__file__, rows=[1, (3, 5)])
    ex.session.background.wait(60)
    ex.flush(0.0)
"""


def _run(path: Path, program: str) -> str:
    """Run a program, and return what it and its threads print."""
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, path.name], cwd=path.parent, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def test_a_child_can_import_what_a_thread_imports_while_it_is_forked(tmp_path: Path) -> None:
    """Else it would wait for ever for a thread that it does not have."""
    (tmp_path / "half.py").write_text(
        "import sys\nsys.began.set()\nsys.goes_on.wait()\nWHOLE = 7\n"
    )
    assert _run(tmp_path / "program.py", _FORKS_MEANWHILE) == "7\n"


@pytest.mark.slow
def test_whatever_threads_import_no_fork_cuts_it_in_two(node: Path, tmp_path: Path) -> None:
    """A data loader forks right after the start, when cmfd's threads have begun."""
    assert _run(tmp_path / "program.py", _IMPORTS) == ""
    assert list((node / "journals").glob("*.cmfj"))


def test_a_program_that_has_closed_every_file_has_children_with_journals_of_their_own(
    node: Path,
) -> None:
    """What it closed may have been the journal's; no child writes to that of its parent."""
    ex = cmfd.start("pipe", "stage")
    journal = ex.session.journal
    assert journal._file
    os.close(journal._file.number)
    if not (child := os.fork()):
        ex.metric("loss", 1.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list((node / "journals").glob("*.cmfj"))) == 2
