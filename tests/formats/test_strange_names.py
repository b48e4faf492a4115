"""Whatever people call things, what is given out is well-formed for its own reader."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlcroissant  # type: ignore[import-untyped] # it says none
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prov.model import ProvActivity, ProvDocument, ProvEntity
from pyarrow import csv, ipc, parquet
from rocrate.rocrate import ROCrate
from support.packs import an_id
from support.sites import ASite, a_run, set_param

from cmfd.cli.main import cli
from cmfd.query.tables import TABLES

if TYPE_CHECKING:
    from support.packs import Content

TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \n\r\t\"'`\\<>{}[]|^%#?&;:/.,=()@$*~-"),
        st.characters(codec="utf-8", exclude_characters="\0"),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip
DIGESTS = (f"md5:{1:032x}", f"md5:{2:032x}")

IRI = re.compile(r"[^\x00-\x20<>\"{}|^`\\]+")
"""As N-Triples has it."""

NAMES = st.one_of(TEXTS, TEXTS.map(lambda text: (text * 10_000)[:10_000]))


def a_strange_run(pipeline: str, stage: str, path: str, key: str, value: str) -> Content:
    """Return a run with such names."""
    content = a_run(1)
    execution, origin, begin = an_id("exec", 1), an_id("proc", 1000), content["run"][0][1]
    run = content["run"][0]
    content["run"] = [(*run[:7], value[:64], value, *run[9:])]
    content["execution"] = [(*content["execution"][0][:5], pipeline, stage, "0")]
    content["artifact"] = [(digest, "", 10, 1) for digest in DIGESTS]
    content["event"] = [
        (execution, direction, digest, named, begin, origin, "dataset", "n1",
         absolute, 0, "", "")
        for digest, direction, named, absolute in (
            (DIGESTS[0], "input", path, f"/data/{path}"),
            (DIGESTS[1], "output", f"s3://bucket/{path}", ""),
        )
    ]  # fmt: skip
    content["series"] = [(origin, 1, execution, key, "float")]
    set_param(content, 1, key, "str", value)
    return content


def done(site: ASite, *words: str) -> str:
    """Run a command on a site."""
    result = CliRunner().invoke(cli, [*words, "--site", str(site.path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
@settings(deadline=None, max_examples=4)  # a site and ten exports each: two seconds
@given(NAMES, NAMES, NAMES, NAMES, NAMES)
@example(*["http://[x"] * 5)
@example(*["a b\n'\"\\<>{}|^`%00 ä😀\u2028\ufeff\x01\x85\u202e"] * 5)
def test_every_reader_takes_it(pipeline: str, stage: str, path: str, key: str, value: str) -> None:
    """The libraries of all formats; texts come back as they were where a format has any text."""
    with tempfile.TemporaryDirectory() as place:
        site = ASite(Path(place, "site")).take(a_strange_run(pipeline, stage, path, key, value))
        as_openlineage(site, (pipeline, stage, path, key, value))
        as_prov(site, path)
        as_crate(site, Path(place, "crate"), (path, key, value))
        as_croissant(site)
        for kind in ("parquet", "csv", "arrow"):
            as_tables(site, Path(place, "tables"), kind, (pipeline, stage, key, value))


def as_openlineage(site: ASite, names: tuple[str, ...]) -> None:
    """Read events, and take them in again."""
    pipeline, stage, path, key, value = names
    out = site.path / "events"
    done(site, "export", "openlineage", "-o", str(out))
    events = [json.loads(line) for line in out.read_bytes().split(b"\n") if line]
    assert len(events) == 4
    event = next(one for one in events if one["inputs"])
    assert event["run"]["facets"]["cmfd_hyperparameters"]["parameters"][key] == [value]
    assert event["job"]["name"] == f"{pipeline}.{stage}"
    assert event["inputs"][0]["name"] == f"/data/{path}"
    done(ASite(site.path / "elsewhere"), "import", "openlineage", str(out))


def as_prov(site: ASite, path: str) -> None:
    """Read a document."""
    found = ProvDocument.deserialize(content=done(site, "export", "prov"), format="json")
    [activity] = found.get_records(ProvActivity)
    labels = {str(one.label) for one in found.get_records(ProvEntity)}
    assert labels == {path, f"s3://bucket/{path}"}
    assert activity.identifier
    assert done(site, "export", "prov", "--format", "provn").endswith("\nendDocument\n")


def as_crate(site: ASite, crate: Path, names: tuple[str, ...]) -> None:
    """Read a crate, in which all that has a name of its own is a reference."""
    path, key, value = names
    done(site, "export", "ro-crate", str(crate))
    read = ROCrate(crate)
    said = [
        one for one in read.get_entities() if one.type == "PropertyValue" and one["name"] == key
    ]
    assert [one["value"] for one in said] == [value]
    assert path in {one.get("name") for one in read.get_entities()}
    assert not [one.id for one in read.get_entities() if not IRI.fullmatch(one.id)]


def as_croissant(site: ASite) -> None:
    """Read a dataset."""
    for digest in DIGESTS:
        said = json.loads(done(site, "export", "croissant", digest))
        [file] = said["distribution"]
        assert IRI.fullmatch(file["contentUrl"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own, of what it uses
            assert not mlcroissant.Dataset(jsonld=said).metadata.issues.errors


def as_tables(site: ASite, into: Path, kind: Any, names: tuple[str, ...]) -> None:
    """Read tables."""
    done(site, "export", kind, str(into))
    found = {name: read(into / f"{name}.{kind}") for name in TABLES}
    params = found["params"].select(["pipeline", "stage", "key", "value"]).to_pylist()
    assert names in [tuple(row.values()) for row in params]


def read(file: Path) -> Any:
    """Read a table; what stands in lines of CSV is to be text."""
    if file.suffix == ".parquet":
        return parquet.read_table(file)
    if file.suffix == ".arrow":
        return ipc.open_file(file).read_all()
    texts = dict.fromkeys(("pipeline", "stage", "key", "value"), "string")
    return csv.read_csv(
        file,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=texts),
    )
