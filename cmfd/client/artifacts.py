"""
What an execution reads and writes: told at once, identified on a thread of its own.

The caller waits for one record and a look at the file's size and time. Reading the content is the
thread's (`Session.hashing`); data sets of HDF5 files are read by another process, since the HDF5
library of this one is the program's.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd import identity
from cmfd.client.values import as_json
from cmfd.errors import NotFoundError
from cmfd.forks import no_fork
from cmfd.model import CONTINUES, INSIDE, OBSERVED, ArtifactKind, Direction, Relation
from cmfd.wire.messages import Hashed, Link, SliceMembers, Touch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cmfd.client.execution import Execution
    from cmfd.content.files import Hash


_KINDS = frozenset(kind.value for kind in ArtifactKind)


class Said(NamedTuple):
    """What a command was told to record."""

    path: str
    kind: str = ArtifactKind.DATASET.value
    datasets: list[str] | None = None

    @classmethod
    def of(cls, text: str) -> Said:
        """
        Read ``[KIND:]PATH[::DATA SET]``; a file that is called so as a whole is that file.

        Parameters
        ----------
        text : str
            As ``data.csv``, ``model:out/model.bin``, ``hits.h5::/train/x``.
        """
        if os.path.lexists(text):
            return cls(text)
        kind, colon, rest = text.partition(":")
        if colon and kind in _KINDS and rest and not rest.startswith(":"):
            return cls(rest, kind) if os.path.lexists(rest) else cls.of(rest)._replace(kind=kind)
        path, inside, name = text.partition(INSIDE)
        if inside and path and name:
            return cls(path, datasets=[name])
        return cls(text)


class Place(NamedTuple):
    """A file or directory as it was when it was named."""

    named: str
    absolute: str
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Place:
        """Look at a path; what cannot be looked at has neither size nor time."""
        named = os.fsdecode(path)
        absolute = os.path.abspath(named)  # noqa: PTH100 - links are not resolved: the name is the user's
        return cls(named, absolute, *_size_and_time(absolute))

    @property
    def is_changed(self) -> bool:
        """Whether it is another content now."""
        return _size_and_time(self.absolute) != (self.size_bytes, self.mtime_ns)


def touch(  # noqa: PLR0913, PLR0917 - what is said of it
    execution: Execution, direction: Direction, path: str | os.PathLike[str], kind: str,
    properties: Mapping[str, Any], datasets: Iterable[str] | None, digest: str,
) -> None:  # fmt: skip
    """Record that an execution reads or writes a file or directory, or data sets inside a file."""
    if digest not in ("full", "quick"):
        raise ValueError(f"a digest is 'full' or 'quick', not {digest!r}")
    place = Place.of(path)
    if datasets is not None:
        names = [datasets] if isinstance(datasets, str) else [str(name) for name in datasets]
        _touch_datasets(execution, direction, place, names, properties)
        return
    token = _begin(execution, direction, place, kind, properties)
    execution.session.hashing.submit(
        lambda: _end(execution, token, _identity(execution, place, digest))
    )


def go_on_from(execution: Execution, what: bytes | str | os.PathLike[str]) -> None:
    """Record the execution that another one goes on from, or the checkpoint that it begins with."""
    if not isinstance(what, bytes):
        if not isinstance(what, str) or os.path.lexists(what) or not _is_id(what):
            kind = ArtifactKind.CHECKPOINT.value
            touch(execution, Direction.INPUT, what, kind, {}, None, "full")
            return
        what = identity.parse(what)
    execution.fact(CONTINUES, what.hex())


def _is_id(text: str) -> bool:
    try:
        return bool(identity.parse(text))
    except NotFoundError:
        return False


def begin_observed(execution: Execution, direction: Direction, place: Place, how: str) -> int:
    """Record that such a file was used; return the token by which its identity will be told."""
    kind = ArtifactKind.DATASET.value
    return _begin(execution, direction, place, kind, {OBSERVED: how})


def identify_observed(execution: Execution, token: int, place: Place) -> None:
    """Tell the identity of such a file, as it was at some moment."""
    execution.session.hashing.submit(lambda: _end(execution, token, _identity(execution, place)))


def touch_slice(  # noqa: PLR0913, PLR0917 - as above
    execution: Execution, direction: Direction, name: str, of: str | os.PathLike[str] | None,
    rows: Iterable[int | tuple[int, int]] | None, files: Iterable[str | os.PathLike[str]] | None,
    properties: Mapping[str, Any],
) -> None:  # fmt: skip
    """Record that an execution uses or makes a named part of a data set."""
    if (rows is None) == (files is None) or (rows is not None and of is None):
        raise ValueError("a slice is either rows of a data set, or files")
    chosen = None if rows is None else list(rows)
    members = [Place.of(path) for path in files or ()]
    whole = None if of is None else Place.of(of)
    file = whole and Place.of(whole.absolute.partition(INSIDE)[0])
    place = Place(name, f"{whole.absolute}{INSIDE}{name}" if whole else name, -1, -1)
    token = _begin(execution, direction, place, ArtifactKind.DATASLICE.value, properties)

    def finish() -> None:
        found = None if whole is None else _whole(execution, whole)
        inside = {at.named: _identity(execution, at) for at in members}
        _end_slice(execution, token, name, chosen, found, inside)
        if whole and file and found and found.digest and file.absolute != whole.absolute:
            around = _identity(execution, file)
            if around.digest:  # else it was changed since, and is not what this is part of
                part = whole.absolute.partition(INSIDE)[2]
                _link(execution, around.digest, found.digest, f"/{part.strip('/')}")

    execution.session.hashing.submit(finish)


def _end_slice(  # noqa: PLR0913, PLR0917 - as above
    execution: Execution, token: int, name: str, rows: list[int | tuple[int, int]] | None,
    whole: Hash | None, files: Mapping[str, Hash],
) -> None:  # fmt: skip
    """Say what the members of a slice are, now that it is known what they are parts of."""
    with no_fork():
        from cmfd.content import slices  # noqa: PLC0415 - off the caller's path
        from cmfd.content.files import Hash  # noqa: PLC0415 - as above

    unread = [item for item in (*files.values(), whole) if item and item.problem]
    if unread:
        _end(execution, token, unread[0])
        return
    if rows is None:
        document = slices.files_document({path: item.digest for path, item in files.items()})
    else:
        assert whole is not None, "rows are of something"
        document = slices.rows_document(whole.digest, rows)
    digest = slices.slice_digest(document)
    execution.append(
        SliceMembers(at_ns=time.time_ns(), execution=execution.id, digest=digest, document=document)
    )
    size_bytes = sum(item.size_bytes for item in files.values()) if files else -1
    _end(execution, token, Hash(digest, "", size_bytes, len(files) or 1))
    if whole is not None:
        _link(execution, whole.digest, digest, name)
    for path, item in files.items():
        _link(execution, digest, item.digest, path)


def _begin(
    execution: Execution, direction: Direction, place: Place, kind: str,
    properties: Mapping[str, Any],
) -> int:  # fmt: skip
    """Say that content was touched; return the token by which its identity will be told."""
    token = execution.session.token()
    execution.append(
        Touch(
            at_ns=time.time_ns(), token=token, execution=execution.id, direction=direction.value,
            kind=ArtifactKind(kind).value, path=place.named, absolute=place.absolute,
            size_bytes=place.size_bytes, mtime_ns=place.mtime_ns,
            properties=as_json(properties) if properties else "",
        )
    )  # fmt: skip
    return token


def _end(execution: Execution, token: int, found: Hash) -> None:
    """Say what the content was."""
    execution.session.append(
        Hashed(
            at_ns=time.time_ns(), token=token, digest=found.digest, strong=found.strong,
            size_bytes=found.size_bytes, n_files=found.n_files, problem=found.problem,
            properties=found.properties,
        )
    )  # fmt: skip


def _link(execution: Execution, subject: str, item: str, name: str) -> None:
    """Say that content is part of other content."""
    execution.append(
        Link(
            at_ns=time.time_ns(), execution=execution.id, subject=subject,
            relation=Relation.CONTAINS.value, object=item, name=name,
        )
    )  # fmt: skip


def _identity(execution: Execution, place: Place, digest: str = "full") -> Hash:
    """Identify content; what changed since it was named is not what was named."""
    with no_fork():
        from cmfd.content.cache import identify  # noqa: PLC0415 - off the caller's path
        from cmfd.content.files import Hash  # noqa: PLC0415 - as above
        from cmfd.content.quick import quick_hash  # noqa: PLC0415 - as above

    if digest == "quick":
        found = quick_hash(place.absolute)
    else:
        found = identify(place.absolute, _cache_of(execution))
    if found.digest and place.is_changed:
        return Hash(problem=f"it was changed before it was read: {place.absolute}")
    return found


def _cache_of(execution: Execution) -> Path:
    """Return where content that is known on this node is remembered."""
    return execution.session.settings.own_journal_dir / "hashes"


def _whole(execution: Execution, place: Place) -> Hash:
    """Identify a file, or a data set inside of one."""
    with no_fork():
        from cmfd.content.files import Hash  # noqa: PLC0415 - as above
        from cmfd.content.inside import datasets_in  # noqa: PLC0415 - as above

    path, inside, name = place.absolute.partition(INSIDE)
    if not inside:
        return _identity(execution, place)
    found = datasets_in(path, [name], _cache_of(execution))
    if isinstance(found, str):
        return Hash(problem=found)
    return Hash(found[0]["digest"], "", found[0]["size_bytes"])


def _touch_datasets(
    execution: Execution, direction: Direction, place: Place, names: Sequence[str],
    properties: Mapping[str, Any],
) -> None:  # fmt: skip
    """Record data sets of a file one by one; that they are parts of the file is said later."""
    kind = ArtifactKind.HDF5_DATASET.value
    tokens = []
    for name in names:
        inside = f"{INSIDE}/{name.strip('/')}"
        at = place._replace(named=place.named + inside, absolute=place.absolute + inside)
        tokens.append(_begin(execution, direction, at, kind, properties))

    def finish() -> None:
        with no_fork():
            from cmfd.content.files import Hash  # noqa: PLC0415 - off the caller's path
            from cmfd.content.inside import datasets_in  # noqa: PLC0415 - as above

        found = datasets_in(place.absolute, names, _cache_of(execution))
        if place.is_changed:
            found = f"it was changed before it was read: {place.absolute}"
        if isinstance(found, str):
            for token in tokens:
                _end(execution, token, Hash(problem=found))
            return
        for token, item in zip(tokens, found, strict=True):
            _end(execution, token, Hash(item["digest"], "", item["size_bytes"]))
            for part in item["members"]:
                _link(execution, item["digest"], part["digest"], part["name"])
        whole = _identity(execution, place)
        for item in found if whole.digest else ():
            _link(execution, whole.digest, item["digest"], item["name"])

    execution.session.hashing.submit(finish)


def _size_and_time(path: str) -> tuple[int, int]:
    """Return what a path's content can be told from another's by; hashing says why it cannot."""
    try:
        found = os.stat(path)  # noqa: PTH116 - no path object is needed for it
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
