"""RO-Crates of runs, held against their profiles by the validator."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pytest
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_cache import CachedSession
from support.packs import an_id
from support.sites import ASite, a_run, set_param
from urllib3 import HTTPResponse

from cmfd.content.files import hash_path
from cmfd.content.hdf5 import hash_datasets
from cmfd.model import INSIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

    Cmfd = Callable[..., Any]


class _Contexts(BaseAdapter):
    """Answers for the places of the contexts, of which the library brings the newest."""

    def send(self, request: PreparedRequest, **_: object) -> Response:  # type: ignore[override] # of many
        newest = (files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()
        newest = newest.replace(b"bioschemas.org/terms/", b"bioschemas.org/")  # as it was in 1.1
        content = newest if "/ro/crate/" in str(request.url) else b'{"@context": {}}'
        kind = {"Content-Type": "application/ld+json"}
        raw = HTTPResponse(BytesIO(content), kind, 200, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill what the validator keeps of the internet, so that it needs none."""
    kept = tmp_path_factory.mktemp("contexts") / "kept"
    with CachedSession(str(kept), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", _Contexts())
        for version in ("1.1", "1.2", "1.3"):
            session.get(f"https://w3id.org/ro/crate/{version}/context")
        session.get("https://w3id.org/ro/terms/workflow-run/context")
    return kept


def what_is_wrong(crate: Path, profile: str, contexts: Path) -> str:
    """Return what the validator says of a crate that is not of a profile."""
    done = subprocess.run(
        [
            Path(sys.prefix, "bin", "rocrate-validator"), "validate", "--offline",
            "--cache-path", contexts, "--cache-max-age", "-1", "--profile-identifier", profile,
            "--skip-availability-check", crate,
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 and "[OK]" in done.stdout else done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site: one execution read what is there, also in a file, one wrote a directory."""
    data = tmp_path / "exp:1 a.csv"
    data.write_text("1,2")
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "model").write_text("weights")
    with h5py.File(tmp_path / "hits.h5", "w") as file:
        file["x"] = [1, 2]
    contents = [a_run(1), a_run(2)]
    set_param(contents[0], 1, "rate", "float", 0.1)
    set_param(contents[1], 2, "rate", "float", 0.1)
    set_param(contents[1], 2, "rate", "float", 0.2)
    for number, direction, path, kind in (
        (1, "input", data, "dataset"),
        (1, "input", tmp_path / "hits.h5::/x", "hdf5-dataset"),
        (2, "input", out, "model"),
        (2, "output", out, "model"),
    ):
        content = contents[number - 1]
        file, _, inside = str(path).partition(INSIDE)
        named = str(path.relative_to(tmp_path))
        digest = (hash_datasets(file, [inside])[0] if inside else hash_path(path)).digest
        if digest not in {row[0] for row in content["artifact"]}:
            content["artifact"].append((digest, "", 10, 1))
        content["event"].append((
            an_id("exec", number), direction, digest, named, 5, an_id("proc", number * 1000),
            kind, "n1", str(path), 0, "", "",
        ))  # fmt: skip
    return ASite(tmp_path / "site").take(*contents).path


def graph(crate: Path) -> dict[str, dict[str, Any]]:
    """Return the entities of a crate."""
    told = json.loads((crate / "ro-crate-metadata.json").read_text("utf-8"))
    return {entity["@id"]: entity for entity in told["@graph"]}


@pytest.mark.slow
@pytest.mark.usefixtures("site")
def test_crates_are_of_their_profiles(cmfd: Cmfd, tmp_path: Path, contexts: Path) -> None:
    """Without data, with data, of a workflow, zipped; and one that was spoilt is not."""
    crates = [tmp_path / name for name in ("plain", "full", "flow", "crate.zip")]
    workflow = tmp_path / "dvc.yaml"
    workflow.write_text("stages: {}")
    licence = ("--license", "https://spdx.org/licenses/CC-BY-4.0")
    cmfd("export", "ro-crate", str(crates[0]), *licence)
    cmfd("export", "ro-crate", str(crates[1]), "--with-data", *licence)
    cmfd("export", "ro-crate", str(crates[2]), "--workflow", str(workflow), *licence)
    cmfd("export", "ro-crate", str(crates[3]), "--with-data")
    for crate in crates:
        assert not what_is_wrong(crate, "process-run-crate", contexts)
    assert not what_is_wrong(crates[2], "workflow-run-crate", contexts)

    told = crates[0] / "ro-crate-metadata.json"
    told.write_text(told.read_text().replace('"instrument"', '"object"'))
    assert what_is_wrong(crates[0], "process-run-crate", contexts)


@pytest.mark.usefixtures("site")
def test_what_is_there_goes_in(cmfd: Cmfd, tmp_path: Path) -> None:
    """Files and directories, by their digests; what has changed is named, and told."""
    (tmp_path / "exp:1 a.csv").write_text("changed")
    crate = tmp_path / "crate"
    told = cmfd("export", "ro-crate", str(crate), "--with-data")
    assert told == ""
    found = graph(crate)
    [model] = crate.glob("data/*/out/deep/model")
    assert model.read_text() == "weights"
    actions = [entity for entity in found.values() if entity["@type"] == "CreateAction"]
    assert len(actions) == 2
    first = next(one for one in actions if an_id("exec", 1).hex() in one["@id"])
    read = {found[one["@id"]]["name"]: found[one["@id"]] for one in first["object"]}
    assert read["exp:1 a.csv"]["@id"].startswith("file://n1/")
    assert read["exp:1 a.csv"]["@id"].partition("#")[0].endswith("/exp%3A1%20a.csv")
    assert read["hits.h5::/x"]["@id"].startswith("file://n1/")
    assert read["rate"]["value"] == 0.1
    assert first["actionStatus"] == {"@id": "http://schema.org/CompletedActionStatus"}

    second = next(one for one in actions if an_id("exec", 2).hex() in one["@id"])
    parts = [found[one["@id"]] for one in second["object"]]
    assert [one["value"] for one in parts if one["name"] == "rate"] == [0.1, 0.2]
    [written] = [one for one in second["result"] if found[one["@id"]]["name"] == "out"]
    assert written in second["object"], "it was read as well"

    assert "is there" in cmfd("export", "ro-crate", str(crate), code=3)
    zipped = tmp_path / "crate.zip"
    cmfd("export", "ro-crate", str(zipped), "--where", "rate = 0.1")
    with zipfile.ZipFile(zipped) as archive:
        assert archive.namelist() == ["ro-crate-metadata.json"]
