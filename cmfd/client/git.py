"""
Which code runs: the state of the git repository that a program lies in.

git itself is asked, in a way that changes nothing (no lock, hook, pager, prompt or fetch) and
gives every user the same answer whatever their git configuration.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from cmfd.client.redact import scrub_url
from cmfd.forks import no_fork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cmfd.client.deadline import Deadline

_OPTIONS = (
    "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=true", "-c", "diff.renames=false", "-c", "status.renames=false",
    "-c", "diff.relative=false", "-c", "diff.suppressBlankEmpty=false",
    "-c", "diff.orderFile=/dev/null",
)  # fmt: skip
_DIFF = (
    "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--full-index",
    "--unified=3", "--inter-hunk-context=0", "--diff-algorithm=myers", "--no-indent-heuristic",
    "--src-prefix=a/", "--dst-prefix=b/", "--submodule=diff", "--ignore-submodules=none",
)  # fmt: skip
_REPOSITORY_VARIABLES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_DIFF_OPTS",
)  # fmt: skip
"""Set in git hooks, say: they would make git look elsewhere than where the program lies."""

TOO_LONG = "git takes too long"
_LOOK_S = 0.1
"""How often it is seen whether the deadline has come nearer."""


class GitError(Exception):
    """git said no, and why."""


def describe_code(directory: str, deadline: Deadline) -> dict[str, Any]:
    """
    Describe the work tree that a directory belongs to.

    Parameters
    ----------
    directory : str
        Where the program lies.
    deadline : Deadline
        At which git is ended if it has not answered.

    Returns
    -------
    dict
        ``repository`` (its top directory), ``commit`` (None before the first one), ``branch``
        (None when detached), ``remote`` (without credentials), ``dirty``; if dirty also
        ``diff_sha256`` and ``diff_bytes`` (of ``git diff HEAD``), ``untracked`` (how many files)
        and ``untracked_sha256`` (of their names, each ended by NUL, sorted); ``submodules`` (path
        to commit) if there are any. Empty outside of repositories.

    Raises
    ------
    GitError, TimeoutError, OSError
        git says no, takes too long, or is not installed.
    """
    try:
        top = _git(directory, "rev-parse", "--show-toplevel", deadline=deadline).rstrip("\n")
    except GitError as error:
        if "not a git repository" in str(error):
            return {}
        raise
    status = _git(
        top, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all",
        "--ignore-submodules=none", deadline=deadline,
    ).split("\0")  # fmt: skip
    heads = dict(line[2:].split(" ", 1) for line in status if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", ""), heads.get("branch.head", "")
    code: dict[str, Any] = {
        "repository": top,
        "commit": None if commit == "(initial)" else commit,
        "branch": None if branch == "(detached)" else branch,
        "remote": _remote(top, branch, deadline),
        "dirty": any(line and not line.startswith("#") for line in status),
    }
    if code["dirty"]:
        code |= _changes(top, code["commit"], status, deadline)
    if submodules := _submodules(top, deadline):
        code["submodules"] = submodules
    return code


def head(directory: str, deadline: Deadline) -> str:
    """
    Return the commit that a work tree stands at.

    Raises
    ------
    GitError
        There is none.
    TimeoutError
        git had not answered by the deadline.
    """
    return _git(directory, "rev-parse", "HEAD", deadline=deadline).strip()


def last_change(path: str, deadline: Deadline) -> dict[str, str | None]:
    """
    Tell which commit a file is as it is since.

    Parameters
    ----------
    path : str
        The file.
    deadline : Deadline
        At which git is ended if it has not answered.

    Returns
    -------
    dict
        ``commit`` (None if the file has changes that are not committed), ``time`` (seconds since
        1970, as text) and ``remote`` of the repository (without credentials). Empty outside of
        repositories.

    Raises
    ------
    GitError, TimeoutError, OSError
        git says no, takes too long, or is not installed.
    """
    directory, name = os.path.split(path)
    try:
        branch = _git(directory, "branch", "--show-current", deadline=deadline).strip()
    except GitError as error:
        if "not a git repository" in str(error):
            return {}
        raise
    literal = f":(literal){name}"
    changed = _git(directory, "status", "--porcelain", "--", literal, deadline=deadline)
    commit = seconds = None
    if not changed:
        try:
            told = _git(directory, "log", "-1", "--format=%H %ct", "--", literal, deadline=deadline)
        except GitError:  # no commit yet
            told = ""
        commit, _, seconds = told.strip().partition(" ")
    return {
        "commit": commit or None, "time": seconds or None,
        "remote": _remote(directory, branch, deadline),
    }  # fmt: skip


def _changes(top: str, commit: str | None, status: list[str], deadline: Deadline) -> dict[str, Any]:
    """Digest what differs from the commit, so that equal states are seen to be equal."""
    with no_fork():
        from hashlib import sha256  # noqa: PLC0415 - keeps `import cmfd` short

    diff, diff_bytes = sha256(), 0
    for chunk in _run(top, [*_DIFF, *([commit] if commit else ["--cached"])], deadline):
        diff.update(chunk)
        diff_bytes += len(chunk)
    untracked = sorted(line[2:] for line in status if line.startswith("? "))
    names = "".join(f"{name}\0" for name in untracked).encode("utf-8", "surrogateescape")
    return {
        "diff_sha256": diff.hexdigest(),
        "diff_bytes": diff_bytes,
        "untracked": len(untracked),
        "untracked_sha256": sha256(names).hexdigest(),
    }


def _remote(top: str, branch: str, deadline: Deadline) -> str | None:
    """Return the URL of the branch's remote, else of ``origin``, else of the first one."""
    try:
        text = _git(
            top, "config", "--null", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$",
            deadline=deadline,
        )  # fmt: skip
    except GitError:  # nothing matches
        return None
    settings = dict(entry.split("\n", 1) for entry in text.split("\0") if "\n" in entry)
    named = settings.get(f"branch.{branch}.remote", "origin")
    urls = [url for key, url in settings.items() if key.startswith("remote.")]
    url = settings.get(f"remote.{named}.url") or next(iter(urls), None)
    return scrub_url(url) if url else None


def _submodules(top: str, deadline: Deadline) -> dict[str, str]:
    """Return the commit that each submodule is at; ``-`` before it: not checked out."""
    if not os.path.exists(f"{top}/.gitmodules"):  # noqa: PTH110 - pathlib costs import time
        return {}
    text = _git(top, "submodule", "status", "--recursive", deadline=deadline)
    found = {}
    for line in text.splitlines():
        commit, path = line[1:].split(" ", 1)
        found[path.rpartition(" (")[0] or path] = f"{line[0].strip(' +')}{commit}"
    return found


def _git(directory: str, *arguments: str, deadline: Deadline) -> str:
    """Return what a git command prints."""
    return os.fsdecode(b"".join(_run(directory, arguments, deadline)))


def _run(directory: str, arguments: Iterable[str], deadline: Deadline) -> Iterator[bytes]:
    """Yield what a git command prints, as it comes; end it when the deadline passes."""
    with no_fork():
        import subprocess  # noqa: PLC0415 - keeps `import cmfd` short

    # In memory: `tempfile` has a lock, which a child forked meanwhile would find taken for ever.
    with (
        os.fdopen(os.memfd_create("cmfd-git"), "w+b") as complaints,
        subprocess.Popen(  # noqa: S603 - no shell; the arguments are cmfd's own
            ["git", "-C", directory, *_OPTIONS, *arguments],  # noqa: S607 - the user's git
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_environment(os.environ),
            start_new_session=True,
        ) as git,
    ):
        assert git.stdout is not None
        ended = False
        try:
            yield from _read_until(deadline, git.stdout.fileno())
            git.wait(deadline.left_s())
            ended = True
        except subprocess.TimeoutExpired:
            raise TimeoutError(TOO_LONG) from None
        finally:
            if not ended:
                os.killpg(git.pid, signal.SIGKILL)
        if git.returncode:
            complaints.seek(0)
            raise GitError(complaints.read().decode("utf-8", "replace").strip())


def _read_until(deadline: Deadline, descriptor: int) -> Iterator[bytes]:
    """Yield what can be read until the end of file; raise when that takes too long."""
    with no_fork():
        from select import POLLIN, poll  # noqa: PLC0415 - keeps `import cmfd` short

    waiting = poll()
    waiting.register(descriptor, POLLIN)
    while True:
        while not waiting.poll(min(deadline.left_s(), _LOOK_S) * 1000):
            if not deadline.left_s():
                raise TimeoutError(TOO_LONG)
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        yield chunk


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that git is to run with."""
    kept = {key: value for key, value in environ.items() if key not in _REPOSITORY_VARIABLES}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",  # `git status` would refresh the index
        "GIT_NO_LAZY_FETCH": "1",  # in a partial clone, a diff would download
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
