"""Tables of a site as files: Parquet, CSV, Arrow; some rows at a time, however long they are."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from cmfd.errors import FormatError
from cmfd.query.tables import arrow, batches, find, schema
from cmfd.store.shared import whole

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from cmfd.query.tables import Told

    Format = Literal["parquet", "csv", "arrow"]


def write(  # noqa: PLR0913 - one call says it all, by name
    db: sqlite3.Connection,
    directory: Path,
    names: tuple[str, ...],
    kind: Format,
    *,
    where: str = "",
    told: Told,
) -> dict[str, int]:
    """
    Write tables of a site, a file each, in the place of what was there under their names.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    directory : Path
        Where; it is made if missing.
    names : tuple of str
        Of `cmfd.query.tables.TABLES`.
    kind : str
        ``parquet``, ``csv``, or ``arrow``: a file of Arrow's, also called Feather.
    where : str
        A filter of executions.
    told : callable
        Is told, in a sentence each, what could not be read and is left out.

    Returns
    -------
    dict of str to int
        How many rows each table has.

    Raises
    ------
    FormatError
        A file cannot be written. Those before it are whole; what was there of it is as it was.
    NotFoundError, ConfigError, FilterError
        As `cmfd.query.tables.batches`.
    """
    arrow()  # before anything is made
    n_rows = {}
    for name in names:
        path = directory / f"{name}.{kind}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            n_rows[name] = _write(path, batches(db, name, where, told=told), name, kind)
        except OSError as error:
            raise FormatError(
                f"{path} cannot be written: {error.strerror or error}; it is as it was. Check the"
                " directory's permissions and the free space, then export again."
            ) from error
    return n_rows


def _write(path: Path, rows: Iterator[pa.RecordBatch], name: str, kind: Format) -> int:
    """Write a table, whole or not at all, and count its rows."""
    n_rows = 0
    with whole(path) as partial, closing(_writer(partial, name, kind)) as writer:
        for batch in rows:
            writer.write_batch(batch)
            n_rows += len(batch)
    return n_rows


def _writer(path: Path, name: str, kind: Format) -> Any:
    fields = schema(find(name))
    if kind == "parquet":
        from pyarrow import parquet  # noqa: PLC0415 - an extra, and slow to import

        return parquet.ParquetWriter(path, fields, compression="zstd")
    if kind == "csv":
        from pyarrow import csv  # noqa: PLC0415 - as above

        return csv.CSVWriter(path, fields)
    from pyarrow import ipc  # noqa: PLC0415 - as above

    return ipc.new_file(path, fields)
