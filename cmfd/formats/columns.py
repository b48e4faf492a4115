"""
What columns a file has: CSV, Parquet, Arrow and HDF5, as other programs' formats want to know them.

Only names and types are read, not the values, but for the first block of a CSV file: it says its
types nowhere, so they are what PyArrow takes that block for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import ConfigError, FormatError
from cmfd.model import INSIDE
from cmfd.query.located import locate

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from cmfd.query.results import Artifact

    Told = Callable[[str], None]

_MISSING = "The columns of {kind} files need a library: pip install 'cmfd[{extra}]'."

_MOST_KNOWN = 10_000
"""So many artifacts' columns are in memory at most."""


class Column(NamedTuple):
    """A column of a table, or a data set of an HDF5 file."""

    name: str
    type: str
    """As the file's library writes it, as ``int64``, ``string``, ``list<item: double>``."""
    shape: tuple[int, ...] | None = None
    """Of a data set."""
    fields: tuple[Column, ...] = ()
    """Of a data set of records, what these consist of."""


class Columns:
    """
    The columns of artifacts whose content is here.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    told : callable
        Is told, in a sentence each, whose columns cannot be known.
    """

    def __init__(self, db: sqlite3.Connection, told: Told) -> None:
        self._db, self._told = db, told
        self._known: dict[str, list[Column]] = {}

    def __call__(self, artifact: Artifact) -> list[Column]:
        """Return the columns of an artifact; none if it is no table, or not here as it was."""
        if not is_table(artifact.path):
            return []
        known = self._known.get(artifact.digest)
        if known is None:
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            known = self._known[artifact.digest] = self._read(artifact)
        return known

    def _read(self, artifact: Artifact) -> list[Column]:
        at, problem = locate(self._db, artifact.digest, artifact.absolute)
        try:
            if at is not None:
                return columns_of(at)
        except FormatError as error:
            problem = str(error)
        self._told(f"{artifact.path}: {problem}")
        return []


def is_table(path: str) -> bool:
    """Tell whether a file, or what is inside of one, may have columns: by its name."""
    return _kind(path) in _READERS


def columns_of(path: str) -> list[Column]:
    """
    Return the columns of a file; of an HDF5 file, its data sets.

    Parameters
    ----------
    path : str
        A file for which `is_table` holds; ``FILE::/NAME`` for one data set of an HDF5 file.

    Raises
    ------
    FormatError
        It cannot be read, or is none of its kind.
    ConfigError
        The library for it is not installed.
    """
    kind = _kind(path)
    try:
        return _READERS[kind](path)
    except ImportError:
        extra = "hdf5" if kind in _HDF5 else "tables"
        raise ConfigError(_MISSING.format(kind=kind.upper(), extra=extra)) from None
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # h5py raises all of them
        raise FormatError(f"its columns cannot be read: {error}") from error


def _kind(path: str) -> str:
    """Return what a file's name says it is; a compressed CSV file is one."""
    suffixes = [one.lower().removeprefix(".") for one in Path(path.partition(INSIDE)[0]).suffixes]
    if len(suffixes) > 1 and suffixes[-1] in ("gz", "bz2") and suffixes[-2] in _TEXT:
        return suffixes[-2]
    return suffixes[-1] if suffixes else ""


def _of_csv(path: str) -> list[Column]:
    from pyarrow import csv  # noqa: PLC0415 - an extra, and slow to import

    options = csv.ParseOptions(delimiter=_TEXT[_kind(path)])
    with csv.open_csv(path, parse_options=options) as reader:
        names = reader.schema.names
        if len(set(names)) < len(names) or not all(map(_is_name, names)):
            raise FormatError("its first line names no columns.")
        return [Column(field.name, str(field.type)) for field in reader.schema]


def _is_name(text: str) -> bool:
    """Tell whether a first line's word may name a column, and is no value."""
    try:
        float(text)
    except ValueError:
        return bool(text.strip())
    return False


def _of_parquet(path: str) -> list[Column]:
    from pyarrow import parquet  # noqa: PLC0415 - as above

    return [Column(field.name, str(field.type)) for field in parquet.read_schema(path)]


def _of_arrow(path: str) -> list[Column]:
    from pyarrow import ipc  # noqa: PLC0415 - as above

    with ipc.open_file(path) as reader:
        return [Column(field.name, str(field.type)) for field in reader.schema]


def _of_hdf5(path: str) -> list[Column]:
    import h5py  # noqa: PLC0415 - an extra, and slow to import

    at, _, name = path.partition(INSIDE)
    with h5py.File(at, "r") as file:
        return sorted(_datasets(file[name or "/"]))


def _datasets(item: Any) -> Iterator[Column]:
    """Yield a data set, or all below a group, each under the first of its names."""
    import h5py  # noqa: PLC0415 - as above

    found: list[Any] = []
    if isinstance(item, h5py.Dataset):
        found.append(item)
    else:
        item.visititems(lambda _, one: found.append(one) if isinstance(one, h5py.Dataset) else None)
    for one in found:
        parts = tuple(Column(name, _type(one.dtype[name])) for name in one.dtype.names or ())
        yield Column(one.name, "record" if parts else _type(one.dtype), one.shape, parts)


def _type(dtype: Any) -> str:
    import h5py  # noqa: PLC0415 - as above

    name: str = "string" if h5py.check_string_dtype(dtype) else dtype.name
    return name


_TEXT = {"csv": ",", "tsv": "\t"}
_HDF5 = ("h5", "hdf5", "hdf")
_READERS: dict[str, Callable[[str], list[Column]]] = {
    **dict.fromkeys(_TEXT, _of_csv),
    **dict.fromkeys(("parquet", "pq"), _of_parquet),
    **dict.fromkeys(("arrow", "feather"), _of_arrow),
    **dict.fromkeys(_HDF5, _of_hdf5),
}
