"""
The identity of single data sets of an HDF5 file: the digest of what they hold, not of how.

A data set's digest is the SHA-256 of, each behind its length: the format's name, the type, the
shape, the attributes in the order of their names, and the values in C order. Numbers count as
little-endian; chunks, compression, fill values, the data set's name and its place in the file do
not count. Changing one data set of a file so changes no digest of the others, and rewriting the
file (h5repack, another layout) changes none.

References count as the names of what they lead to; ``REFERENCE_LIST`` attributes, in which HDF5
notes who refers to a dimension scale, do not count. Links to other places of the file are followed
once, links to other files are not.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ContentError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

ALGORITHM = "hdf5"
"""What comes before the colon of such a digest."""

FORMAT = b"cmfd-hdf5-1"
BLOCK_BYTES = 1 << 24
"""About how much is read at once. Not part of the digest."""

_BOOKKEEPING = frozenset(("REFERENCE_LIST",))


class DatasetHash(NamedTuple):
    """What a data set, or all below a group, holds."""

    name: str
    """Its full name, as ``/train/x``."""
    digest: str
    """``hdf5:<hex>``; of a group ``hdf5:<hex>.group``."""
    size_bytes: int
    """Of its values in memory, without attributes; of text and lists, their content."""
    members: tuple[DatasetHash, ...] = ()
    """Of a group, its data sets, by name."""


def hash_datasets(path: str | os.PathLike[str], names: Iterable[str]) -> list[DatasetHash]:
    """
    Identify data sets of an HDF5 file.

    Parameters
    ----------
    path : path-like
        The file.
    names : iterable of str
        Data sets, or groups, which stand for all data sets below them; ``/`` for all of the file.

    Returns
    -------
    list of DatasetHash
        One for each name.

    Raises
    ------
    ContentError
        h5py is missing, the file is none of HDF5 or cannot be read, or has no such data set.
    """
    try:
        import h5py  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise ContentError(
            "data sets of HDF5 files need h5py: pip install 'cmfd[hdf5]'. "
            "The file can be recorded as a whole without."
        ) from None
    try:
        with h5py.File(path, "r") as file:
            return [_found(file, "/" + name.strip("/")) for name in names]
    except (OSError, RuntimeError) as error:  # h5py raises both
        raise ContentError(f"{path} cannot be read as HDF5: {error}") from error


def _found(file: Any, name: str) -> DatasetHash:
    """Identify the data set of that name, or all below the group of that name."""
    import h5py  # noqa: PLC0415 - as above

    if name not in file:
        raise ContentError(f"{file.filename} has no data set or group {name!r}")
    item = file[name]
    if isinstance(item, h5py.Dataset):
        return _hash(name, item)
    inside: dict[str, Any] = {}

    def note(below: str, found: Any) -> None:  # each object once, under the first of its names
        if isinstance(found, h5py.Dataset):
            inside[below] = found

    item.visititems(note)
    prefix = name.rstrip("/")
    members = tuple(_hash(f"{prefix}/{below}", inside[below]) for below in sorted(inside))
    listing = [
        [below, member.digest] for below, member in zip(sorted(inside), members, strict=True)
    ]
    content = json.dumps(listing, separators=(",", ":")).encode()
    digest = f"{ALGORITHM}:{hashlib.sha256(content).hexdigest()}.group"
    return DatasetHash(name, digest, sum(member.size_bytes for member in members), members)


def _hash(name: str, dataset: Any) -> DatasetHash:
    digest = _Digest()
    digest.add(FORMAT)
    digest.add(_type_text(dataset.dtype))
    digest.add(_shape_text(dataset.shape))
    for key in sorted(dataset.attrs):
        if key not in _BOOKKEEPING:
            _add_attribute(digest, key, dataset.attrs, dataset.file)
    size_bytes = sum(_add_values(digest, block, dataset.file) for block in _blocks(dataset))
    return DatasetHash(name, f"{ALGORITHM}:{digest.hexdigest()}", size_bytes)


class _Digest:
    """SHA-256 over pieces, each of which stands behind its length."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.hexdigest = self._sha.hexdigest

    def add(self, piece: bytes | str) -> int:
        data = piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece
        self._sha.update(len(data).to_bytes(8, "little"))
        self._sha.update(data)
        return len(data)

    def stream(self, data: Any) -> None:
        """Add bytes whose number follows from what was added before."""
        self._sha.update(data)


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return json.dumps(None if shape is None else list(shape))


def _type_text(dtype: Any) -> str:
    """Write a type without its byte order, padding and offsets."""
    return json.dumps(_type(dtype), sort_keys=True)


def _type(dtype: Any) -> Any:
    if (special := _special_type(dtype)) is not None:
        return special
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"array": list(shape), "of": _type(base)}
    if dtype.names is not None:
        return {"fields": [[name, _type(dtype[name])] for name in dtype.names]}
    return dtype.newbyteorder("<").str


def _special_type(dtype: Any) -> Any:
    """Describe a type that HDF5 has and NumPy has not."""
    import h5py  # noqa: PLC0415 - as above

    if (text := h5py.check_string_dtype(dtype)) is not None:
        # A length says how it is stored; values are compared without their padding.
        return {"text": text.encoding}
    if (members := h5py.check_enum_dtype(dtype)) is not None:
        return {"enum": dict(members), "base": dtype.newbyteorder("<").str}
    if (base := h5py.check_vlen_dtype(dtype)) is not None:
        return {"list": _type(base)}
    return "reference" if h5py.check_ref_dtype(dtype) is not None else None


def _add_attribute(digest: _Digest, key: str, attributes: Any, file: Any) -> None:
    import h5py  # noqa: PLC0415 - as above
    import numpy as np  # noqa: PLC0415 - as above

    stored = attributes.get_id(key)
    value = attributes[key]
    digest.add(key)
    digest.add(_type_text(stored.dtype))
    digest.add(_shape_text(None if isinstance(value, h5py.Empty) else stored.shape))
    if not isinstance(value, h5py.Empty):
        _add_values(digest, np.asarray(value, dtype=_as_read(stored.dtype)), file)


def _as_read(dtype: Any) -> Any:
    """Return the type in which h5py gives text of any length: objects."""
    import h5py  # noqa: PLC0415 - as above

    is_text = h5py.check_string_dtype(dtype) is not None
    return object if is_text or h5py.check_vlen_dtype(dtype) is not None else dtype


def _blocks(dataset: Any) -> Iterator[Any]:
    """Yield the values in C order, some rows at a time; nothing of an empty data set."""
    import numpy as np  # noqa: PLC0415 - as above

    if dataset.shape is None or 0 in dataset.shape:
        return
    if dataset.shape == ():
        yield np.asarray(dataset[()], dtype=_as_read(dataset.dtype))
        return
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    n_rows = max(1, BLOCK_BYTES // max(row_bytes, 1))
    if dataset.chunks and n_rows > dataset.chunks[0]:
        n_rows -= n_rows % dataset.chunks[0]  # whole chunks: none is decompressed twice
    for first in range(0, dataset.shape[0], n_rows):
        yield dataset[first : first + n_rows]


def _add_values(digest: _Digest, values: Any, file: Any) -> int:
    """Add values of one type; return how many bytes they are."""
    import numpy as np  # noqa: PLC0415 - as above

    dtype = values.dtype
    if dtype.names is not None and not _is_plain(dtype):
        return sum(
            _add_values(digest, row[name], file) for row in values.flat for name in dtype.names
        )
    if dtype.hasobject:
        return sum(_add_object(digest, item, file) for item in values.flat)
    if dtype.kind == "S":  # text of one length: the same text may be stored with another
        return sum(digest.add(bytes(item)) for item in values.flat)
    data = np.ascontiguousarray(_little_endian(values))
    digest.stream(data.reshape(-1).view(np.uint8).data)
    return int(data.nbytes)


def _is_plain(dtype: Any) -> bool:
    """Tell whether a compound's fields are numbers all the way down."""
    if dtype.subdtype is not None:
        return _is_plain(dtype.base)
    if dtype.names is not None:
        return all(_is_plain(dtype[name]) for name in dtype.names)
    return not dtype.hasobject and dtype.kind != "S"


def _little_endian(values: Any) -> Any:
    """Return numbers in little-endian order, compounds without padding."""
    from numpy.lib.recfunctions import repack_fields  # noqa: PLC0415 - as above

    if values.dtype.names is not None:
        values = values.astype(repack_fields(values.dtype, recurse=True), copy=False)
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _add_object(digest: _Digest, item: Any, file: Any) -> int:
    """Add what is no number: text, a list of any length, a reference."""
    import h5py  # noqa: PLC0415 - as above
    import numpy as np  # noqa: PLC0415 - as above

    if isinstance(item, (bytes, str)):
        return digest.add(item)
    if isinstance(item, h5py.Reference):
        return digest.add((file[item].name or "") if item else "")
    if item is None or (isinstance(item, (int, float)) and not item):  # a null of text or list
        return digest.add(b"")
    values = np.asarray(item)
    digest.stream(len(values).to_bytes(8, "little"))
    return _add_values(digest, values, file)


def main(arguments: Sequence[str]) -> int:
    """Print as JSON what data sets of a file hold: for a process that must not load HDF5."""
    path, *names = arguments
    try:
        found = hash_datasets(path, names)
    except ContentError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    json.dump([_as_dict(item) for item in found], sys.stdout)
    return 0


def _as_dict(item: DatasetHash) -> dict[str, Any]:
    return {**item._asdict(), "members": [_as_dict(member) for member in item.members]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
