"""
What DVC's files say of a path: a program of its own, for `cmfd.content.tracking`.

``python -m cmfd.dvc.lookup ROOT PATH FILE...`` prints a JSON object, or null: the identity that the
first of the files that covers the path gives it, where it is from, and whether DVC's own rule says
that the path still holds it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.client.deadline import Deadline
from cmfd.client.git import GitError, last_change
from cmfd.content.files import listing_digest, states_below
from cmfd.dvc.files import Out, outs_of
from cmfd.dvc.repository import Repository
from cmfd.errors import CmfdError

if TYPE_CHECKING:
    from collections.abc import Sequence

_GIT_S = 20.0


def look_up(root: str, path: str, files: Sequence[str]) -> dict[str, Any] | None:
    """
    Return what DVC's files say of a path.

    Parameters
    ----------
    root : str
        The DVC repository's directory.
    path : str
        Absolute; below it.
    files : sequence of str
        `.dvc` files and `dvc.lock`, absolute, the nearest first.

    Returns
    -------
    dict or None
        ``hash``: the fields of a `cmfd.content.files.Hash`; ``unchanged``. None if no file covers
        the path.
    """
    repository = Repository(root)
    found = next((one for file in files if (one := _entry(repository, path, file))), None)
    if found is None:
        return None
    out, md5, members, size_bytes = found
    unchanged = _is_unchanged(repository, path, md5, members)
    if size_bytes < 0 and unchanged:
        size_bytes = _size_bytes(path)
    properties = json.dumps({"dvc": provenance(repository, out)}, sort_keys=True)
    n_files = 1 if members is None else len(members)
    if md5 == out.md5:
        n_files = out.n_files
    fields = {
        "digest": f"md5:{md5}", "size_bytes": size_bytes, "n_files": n_files,
        "properties": properties,
    }  # fmt: skip
    return {"hash": fields, "unchanged": unchanged}


def provenance(repository: Repository, out: Out) -> dict[str, str]:
    """Return where content that DVC tracks is kept, and which commit says so."""
    name, url = repository.remote(out.remote)
    try:
        change = last_change(out.file, Deadline(_GIT_S))
    except (GitError, TimeoutError, OSError):  # no git, or none that answers
        change = {}
    known = {
        "file": os.path.relpath(out.file, repository.root), "root": repository.root,
        "remote": name, "url": url, "repository": change.get("remote") or "",
        "commit": change.get("commit") or "",
    }  # fmt: skip
    return {key: value for key, value in known.items() if value}


def _entry(
    repository: Repository, path: str, file: str
) -> tuple[Out, str, dict[str, str] | None, int] | None:
    """Return what a file says of a path: the entry, MD5, members of a directory, size."""
    for out in outs_of(file):
        if not out.md5:
            continue
        if out.path == path:
            members = repository.members(out.md5) if out.is_directory else None
            return out, out.md5, members, out.size_bytes
        if out.is_directory and path.startswith(f"{out.path}/"):
            inside = path.removeprefix(f"{out.path}/")
            members = repository.members(out.md5) or {}
            if inside in members:
                return out, members[inside], None, -1
            below = {
                name.removeprefix(f"{inside}/"): md5
                for name, md5 in members.items() if name.startswith(f"{inside}/")
            }  # fmt: skip
            if below:
                return out, listing_digest("md5", sorted(below.items())) + ".dir", below, -1
    return None


def _is_unchanged(
    repository: Repository, path: str, md5: str, members: dict[str, str] | None
) -> bool:
    """Tell whether all of a file or directory certainly is as it was."""
    if not md5.endswith(".dir"):
        return Path(path).is_file() and repository.is_unchanged(path, md5)
    if members is None or not Path(path).is_dir():
        return False
    names = {
        name.lstrip("/") for name, found in states_below(path) if not stat.S_ISDIR(found.st_mode)
    }
    return names == set(members) and all(
        repository.is_unchanged(f"{path}/{name}", member) for name, member in members.items()
    )


def _size_bytes(path: str) -> int:
    if Path(path).is_dir():
        return sum(
            found.st_size for _, found in states_below(path) if not stat.S_ISDIR(found.st_mode)
        )
    return Path(path).stat().st_size


def main() -> None:
    """Answer for the path that the command line names."""
    root, path, *files = sys.argv[1:]
    try:
        found = look_up(root, path, files)
    except (CmfdError, OSError) as error:
        sys.exit(str(error))
    print(json.dumps(found))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
