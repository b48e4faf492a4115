"""
Croissant 1.0: a dataset, its files with digests, and the columns of its tables.

https://docs.mlcommons.org/croissant/docs/croissant-spec.html. It is JSON-LD with a context that the
specification fixes, so nothing but JSON is needed to write it; tests have MLCommons' own library
read it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from cmfd.content.files import hash_path, states_below
from cmfd.errors import FormatError
from cmfd.formats.columns import columns_of, is_table
from cmfd.formats.places import reference
from cmfd.query.artifacts import detail
from cmfd.query.located import locate
from cmfd.query.times import iso

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from cmfd.formats.columns import Column
    from cmfd.query.artifacts import ArtifactDetail
    from cmfd.query.subject import Subject

_VERSION = "http://mlcommons.org/croissant/1.0"
_OWN = (
    "arrayShape", "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key",
    "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace",
    "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _OWN},
}
_MEDIA = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/x-parquet",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".txt": "text/plain",
    ".h5": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
}
_ROWS = (".csv", ".tsv", ".parquet")
"""Of what Croissant can say where a column is in it."""
_TYPES = {
    "bool": "sc:Boolean",
    "string": "sc:Text",
    "large_string": "sc:Text",
    "halffloat": "sc:Float",
    "float": "sc:Float",
    "double": "sc:Float",
    "date32[day]": "sc:Date",
    **{f"{sign}int{bits}": "sc:Integer" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class Said(NamedTuple):
    """What nobody recorded; what is empty follows from what was."""

    name: str = ""
    description: str = ""
    license: str = ""
    url: str = ""
    """Where it is published."""


class Written(NamedTuple):
    """A dataset's description."""

    document: dict[str, Any]
    problems: list[str]
    """What is not in it, and why: a sentence each."""


class _File(NamedTuple):
    """One of a dataset's files."""

    name: str
    """Its path in the dataset."""
    url: str
    digests: dict[str, str]
    size_bytes: int | None
    at: str | None
    """Where it is on this machine, if it is."""


def describe(db: sqlite3.Connection, dataset: Subject, said: Said, directory: Path) -> Written:
    """
    Describe a dataset.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    dataset : Subject
        From `cmfd.query.subject.artifact`: a file, or a directory that is still here.
    said : Said
        What is to be said of it.
    directory : Path
        Where the description will lie: files that are here are named as seen from there.

    Raises
    ------
    FormatError
        No digest of all its bytes is known, or it is a directory that is not here.
    """
    found = detail(db, dataset)
    names = _Names()
    files = [(names.of(file.name), file) for file in _files(db, found, directory)]
    problems: list[str] = []
    tables = [_records(ref, file, problems) for ref, file in files]
    name = said.name or Path(found.artifact.path or found.artifact.digest).name
    first = min(found.uses, key=lambda use: (use.direction != "output", use.at_ns))
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": said.description or _description(found),
        "conformsTo": _VERSION,
        "identifier": found.artifact.digest,
        "url": said.url or f"urn:cmfd:{quote(found.artifact.digest)}",
        "license": said.license or "not stated",
        "datePublished": iso(first.at_ns),
        "distribution": [_distribution(ref, file) for ref, file in files],
        "recordSet": [table for table in tables if table is not None],
    }
    return Written(document, problems)


class _Names:
    """Names for ids, in which there may be no blanks: no two are the same."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, text: str) -> str:
        name = plain = re.sub(r"[^\w./-]", "_", text)
        number = 1
        while name in self._given:
            number += 1
            name = f"{plain}-{number}"
        self._given.add(name)
        return name


def _description(found: ArtifactDetail) -> str:
    """Return its label, else which stages wrote and read it."""
    if found.standing.label:
        return found.standing.label
    parts = []
    for direction, verb in (("output", "written by"), ("input", "read by")):
        stages = {
            f"{use.pipeline}.{use.stage}": None for use in found.uses if use.direction == direction
        }
        if stages:
            parts.append(f"{verb} {', '.join(stages)}")
    return f"As cmfd recorded it: {'; '.join(parts)}."


def _files(db: sqlite3.Connection, found: ArtifactDetail, directory: Path) -> Iterator[_File]:
    artifact, use = found.artifact, found.uses[-1]
    at, problem = locate(db, artifact.digest, use.absolute)
    if artifact.digest.endswith(".dir"):
        if at is None:
            raise FormatError(
                f"the files of {artifact.path} are not known, since it is {problem}; nothing was"
                " written. `cmfd pull` brings it, if a DVC remote has it."
            )
        for name, _ in states_below(at):
            path = f"{at}{name}"
            if Path(path).is_file():
                yield _hashed(path, name.lstrip("/"), directory)
        return
    digests = dict(
        one.split(":", 1) for one in (artifact.digest, artifact.strong or "") if ":" in one
    )
    known = {name: hexes for name, hexes in digests.items() if name in {"md5", "sha256"}}
    if not known:
        raise FormatError(
            f"{artifact.path} is known by no digest of all its bytes ({artifact.digest}), which"
            " Croissant demands; nothing was written. `cmfd rehash` reads it, if it is here."
        )
    url = _relative(at, directory)
    if url is None:
        url = reference(use.path, use.absolute, use.host)
    yield _File(Path(use.path).name, url, known, artifact.size_bytes, at)


def _hashed(path: str, name: str, directory: Path) -> _File:
    found = hash_path(path)
    if found.problem:
        raise FormatError(f"{found.problem}; nothing was written.")
    digests = dict(one.split(":", 1) for one in (found.digest, found.strong))
    return _File(name, _relative(path, directory) or "", digests, found.size_bytes, path)


def _relative(at: str | None, directory: Path) -> str | None:
    """Return a path as seen from the description: its readers take that as it is, unquoted."""
    if at is None:
        return None
    path = os.path.relpath(at, directory)
    return f"./{path}" if ":" in path else path  # else it looks like an address


def _distribution(ref: str, file: _File) -> dict[str, Any]:
    made = {
        "@type": "cr:FileObject",
        "@id": ref,
        "name": file.name,
        "contentUrl": file.url,
        "encodingFormat": _MEDIA.get(Path(file.name).suffix.lower(), "application/octet-stream"),
        **file.digests,
    }
    if file.size_bytes is not None:
        made["contentSize"] = f"{file.size_bytes} B"
    return made


def _records(of: str, file: _File, problems: list[str]) -> dict[str, Any] | None:
    """Return the columns of a table, as far as Croissant has their types."""
    if file.at is None or not is_table(file.name) or Path(file.name).suffix.lower() not in _ROWS:
        return None
    try:
        columns = columns_of(file.at)
    except FormatError as error:
        problems.append(f"{file.name}: {error}")
        return None
    ref, names, fields = f"{of}/rows", _Names(), []
    for column in columns:
        kind = _type(column)
        if kind is None:
            problems.append(f"{file.name}: Croissant has no type for {column.name}: {column.type}")
            continue
        where = {"fileObject": {"@id": of}, "extract": {"column": column.name}}
        fields.append(
            {
                "@type": "cr:Field",
                "@id": f"{ref}/{names.of(column.name)}",
                "name": column.name,
                "source": where,
                **kind,
            }
        )
    return {"@type": "cr:RecordSet", "@id": ref, "name": ref, "field": fields}


def _type(column: Column) -> dict[str, Any] | None:
    if column.type.startswith("timestamp["):
        return {"dataType": "sc:DateTime"}
    if column.type.startswith("list<") and column.type.endswith(">"):
        kind = _TYPES.get(column.type[5:-1].rpartition(": ")[2])
        return {"dataType": kind, "repeated": True} if kind else None
    kind = _TYPES.get(column.type)
    return {"dataType": kind} if kind else None
