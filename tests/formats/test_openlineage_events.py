"""Runs and executions as OpenLineage events, sent by its own client to a real receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import jsonschema
import msgspec
import pytest
import referencing
from openlineage.client import facet_v2
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from support.daemons import wait_until
from support.energy import a_row
from support.factors import FACTORS
from support.packs import an_id
from support.sites import BEGIN_NS, ASite, Invoke, a_run, from_json, invoker, set_param

from cmfd.content.files import hash_path
from cmfd.content.hdf5 import hash_datasets
from cmfd.formats.openlineage import facets
from cmfd.merge.notes import say
from cmfd.model import NoteKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.receiver import Event, Received

SOURCES = "CMFD_OPENLINEAGE_SOURCES"
"""Names a checkout of OpenLineage, for its schemas: no package has them."""

CONSTANT = FACTORS.replace('["series"]', '["constant"]').replace(
    'zone = "GB"', 'zone = "GB"\nconstant = { g_per_kwh = 360.0, source = "us" }'
)
STANDARD = {
    "parent", "jobType", "processing_engine", "errorMessage", "tags", "version",
    "documentation", "outputStatistics", "schema", "sourceCodeLocation",
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> ASite:
    """Three runs: one that completed, one that failed, one that goes on."""
    contents = [a_run(n, loss=[3.0, float("nan")]) for n in range(3)]
    set_param(contents[0], 0, "rate", "float", 0.1)
    set_param(contents[0], 0, "bound", "float", float("inf"))
    set_param(contents[0], 0, "layers", "json", "[NaN, null]")
    set_param(contents[0], 0, "nothing", "null", "null")
    contents[0]["energy"] = [
        a_row(run=0, uj=5),
        a_row(run=0, execution=0, bucket=1, uj=7, method="exclusive"),
    ]
    contents[1]["execution_end"] = [
        (an_id("exec", 1), BEGIN_NS + 10**9, an_id("proc", 1000), "failed", 3, None)
    ]
    contents[2]["run_end"] = []
    contents[2]["execution_end"] = []
    contents[2]["process_state"] = []
    return ASite(tmp_path / "site").take(*contents)


@pytest.fixture
def invoke(site: ASite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Return a function that runs a command on the site."""
    return invoker(site, tmp_path, monkeypatch)


def printed(invoke: Invoke, *words: str) -> list[Event]:
    """Return the events that an export prints."""
    return [
        json.loads(line) for line in invoke("export", "openlineage", *words).stdout.splitlines()
    ]


def ids(kind: str, *numbers: int) -> set[str]:
    """Return ids as UUIDs have them."""
    return {an_id(kind, number).hex() for number in numbers}


def of(events: list[Event], kind: str, number: int) -> dict[str, Event]:
    """Return the events of a run or an execution by their types."""
    name = an_id(kind, number).hex()
    found = [event for event in events if event["run"]["runId"].replace("-", "") == name]
    assert len({event["eventType"] for event in found}) == len(found)
    return {event["eventType"]: event for event in found}


def test_each_has_one_life(invoke: Invoke, site: ASite) -> None:
    """It starts, and it ends or runs; nothing comes after an end."""
    cancelled = a_run(3)
    cancelled["execution_end"] = [
        (an_id("exec", 3), BEGIN_NS + 10**9, an_id("proc", 3000), "cancelled", None, 15)
    ]
    site.take(cancelled)
    events = printed(invoke)
    lives: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        lives[event["run"]["runId"]].append(event)
    assert {name.replace("-", "") for name in lives} == ids("run", *range(4)) | ids(
        "exec", *range(4)
    )
    for life in lives.values():
        assert [event["eventType"] == "START" for event in life] == [True, False]
        assert [event["eventTime"] for event in life] == sorted(e["eventTime"] for e in life)
        assert len({event["job"]["name"] for event in life}) == 1
    ends = {number: set(of(events, "exec", number)) - {"START"} for number in range(4)}
    assert ends == {0: {"COMPLETE"}, 1: {"FAIL"}, 2: {"RUNNING"}, 3: {"ABORT"}}
    failed = of(events, "exec", 1)["FAIL"]["run"]["facets"]["errorMessage"]["message"]
    assert failed == "exit code 3"


def test_everything_that_is_known_is_told(invoke: Invoke, site: ASite) -> None:
    """Parent, parameters, metrics, energy, content, tags; numbers that JSON has not as text."""
    before = of(printed(invoke), "exec", 0)["COMPLETE"]
    digest = before["outputs"][0]["facets"]["version"]["datasetVersion"]
    say(site.path, NoteKind.TAG, {an_id("exec", 0).hex(): "final"})
    say(site.path, NoteKind.TAINTED, {digest: "wrong detector"})
    say(site.path, NoteKind.LABEL, {digest: "the model"})

    event = of(printed(invoke), "exec", 0)["COMPLETE"]
    found = event["run"]["facets"]
    run = an_id("run", 0).hex()
    assert found["parent"]["run"]["runId"].replace("-", "") == run
    assert found["parent"]["root"]["run"] == found["parent"]["run"]
    assert found["cmfd_hyperparameters"]["parameters"]["rate"] == [0.1]
    assert found["cmfd_hyperparameters"]["parameters"]["bound"] == ["Infinity"]
    assert found["cmfd_hyperparameters"]["parameters"]["layers"] == [["NaN", "null"]]
    assert found["cmfd_hyperparameters"]["parameters"]["nothing"] == ["null"]
    assert found["cmfd_metrics"]["metrics"]["loss"]["nValues"] == 4
    assert found["cmfd_metrics"]["metrics"]["loss"]["min"] == 3.0
    assert [part["energyMicrojoules"] for part in found["cmfd_energy"]["components"]] == [7]
    assert found["tags"]["tags"][0]["key"] == "final"
    assert event["job"]["name"] == "digits.train"
    output = event["outputs"][0]
    assert output["namespace"].startswith("file://")
    assert output["facets"]["version"]["datasetVersion"] == digest
    assert output["facets"]["documentation"]["description"] == "the model"
    assert output["facets"]["tags"]["tags"][0]["key"] == "tainted"
    whole = of(printed(invoke), "run", 0)["COMPLETE"]["run"]["facets"]
    assert [part["energyMicrojoules"] for part in whole["cmfd_energy"]["components"]] == [12]
    assert whole["cmfd_slurm"]["job"] == "0"


def test_energy_comes_with_what_it_means(invoke: Invoke, tmp_path: Path) -> None:
    """With bounds by its grade; in emissions as reports say, once there are factors."""
    with_factors(invoke, tmp_path)
    found = of(printed(invoke), "exec", 0)["COMPLETE"]["run"]["facets"]
    assert found["cmfd_energy"]["lowJoules"] == pytest.approx(7e-6 * 0.9)
    assert found["cmfd_energy"]["highJoules"] == pytest.approx(7e-6 * 1.1)
    assert found["cmfd_energy"]["grade"] == "B"
    carbon = found["cmfd_carbon"]
    assert carbon["operationalGco2e"] == pytest.approx(7e-6 / 3.6e6 * 360 * 1.25)
    assert carbon["lowGco2e"] < carbon["operationalGco2e"] < carbon["highGco2e"]
    assert (carbon["pue"], carbon["intensityGco2ePerKwh"], carbon["coveredShare"]) == (1.25, 360, 1)
    assert carbon["missing"] == []
    run = an_id("run", 0).hex()
    [said] = from_json(invoke("report", "carbon", run, "--json"))["cards"]
    whole = of(printed(invoke), "run", 0)["COMPLETE"]["run"]["facets"]["cmfd_carbon"]
    assert whole["operationalGco2e"] == pytest.approx(said["carbon"]["operational_gco2e"])
    assert whole["factorSet"] == said["carbon"]["factor_set_id"]


def with_factors(invoke: Invoke, tmp_path: Path) -> None:
    """Give the site a factor set with one intensity for ever."""
    (tmp_path / "factors.toml").write_text(CONSTANT)
    invoke("carbon", "factors", "add", "--use", str(tmp_path / "factors.toml"))


@pytest.mark.slow
def test_columns_of_tables_are_told(invoke: Invoke, site: ASite, tmp_path: Path) -> None:
    """Of those that are still where they were, as they were; of others it is said why not."""
    with_tables(site, tmp_path)
    (tmp_path / "gone.csv").write_text("something else")
    done = invoke("export", "openlineage", "--columns")
    outputs = of([json.loads(line) for line in done.stdout.splitlines()], "exec", 7)["COMPLETE"]
    told = {one["name"]: one["facets"].get("schema", {}) for one in outputs["outputs"]}
    assert told[str(tmp_path / "hits.csv")]["fields"] == [
        {"name": "id", "type": "int64", "fields": []},
        {"name": "energy", "type": "double", "fields": []},
    ]
    [x] = told[str(tmp_path / "hits.h5::/x")]["fields"]
    assert (x["name"], x["type"], x["description"]) == ("/x", "int64", "shape [1, 2]")
    assert told[str(tmp_path / "gone.csv")] == {}
    assert done.stderr.startswith("Columns are not known: gone.csv: ")


def with_tables(site: ASite, tmp_path: Path) -> None:
    """Have a run whose code is known write tables."""
    content = a_run(7)
    code = {"remote": "https://git.example.org/study.git", "commit": "c" * 40, "branch": "main"}
    content["environment"] = [("env:7", json.dumps({"code": code}))]
    content["execution_environment"] = [(an_id("exec", 7), 5, an_id("proc", 7000), "env:7")]
    (tmp_path / "hits.csv").write_text("id,energy\n1,0.5\n")
    (tmp_path / "gone.csv").write_text("a,b\n1,2\n")
    with h5py.File(tmp_path / "hits.h5", "w") as file:
        file["x"] = [[1, 2]]
    for name in ("hits.csv", "gone.csv", "hits.h5::/x"):
        at, _, inside = str(tmp_path / name).partition("::")
        found = hash_datasets(at, [inside])[0] if inside else hash_path(at)
        content["artifact"].append((found.digest, "", 10, 1))
        content["event"].append((
            an_id("exec", 7), "output", content["artifact"][-1][0], name, 5, an_id("proc", 7000),
            "dataset", "n1", str(tmp_path / name), 0, "", "",
        ))  # fmt: skip
    site.take(content)


def test_events_are_what_its_library_knows(invoke: Invoke, site: ASite, tmp_path: Path) -> None:
    """Its classes are made from the schemas: every key and type of an event is one of theirs."""
    with_factors(invoke, tmp_path)
    with_tables(site, tmp_path)
    say(site.path, NoteKind.TAG, {an_id("exec", 0).hex(): "final"})
    say(site.path, NoteKind.LABEL, {f"md5:{0:032x}": "the model"})
    known = {one._get_schema(): one for one in below(facet_v2.BaseFacet)}
    checked = set()
    for event in printed(invoke, "--columns"):
        assert Serde.to_dict(msgspec.convert(event, RunEvent)).keys() == event.keys()
        for name, facet in facets_of(event):
            if not name.startswith("cmfd_"):
                taken = msgspec.convert(facet, known[facet["_schemaURL"]])
                assert Serde.to_dict(taken) == facet
                checked.add(name)
    assert checked >= STANDARD


@pytest.mark.skipif(SOURCES not in os.environ, reason=f"{SOURCES} names no checkout of OpenLineage")
def test_events_are_of_the_official_schemas(invoke: Invoke, site: ASite, tmp_path: Path) -> None:
    """The event by OpenLineage's, each standard facet by the one that it names."""
    with_factors(invoke, tmp_path)
    with_tables(site, tmp_path)
    say(site.path, NoteKind.TAG, {an_id("exec", 0).hex(): "final"})
    say(site.path, NoteKind.LABEL, {f"md5:{0:032x}": "the model"})
    found = [
        json.loads(path.read_text()) for path in Path(os.environ[SOURCES], "spec").rglob("*.json")
        if path.parent.name in ("spec", "facets")
    ]  # fmt: skip
    known = referencing.Registry().with_resources(
        (one["$id"], referencing.Resource.from_contents(one)) for one in found if "$id" in one
    )
    checked = set()
    for event in printed(invoke, "--columns"):
        is_of(event, event["schemaURL"], known)
        assert event["schemaURL"].endswith("/OpenLineage.json#/$defs/RunEvent")
        for name, facet in facets_of(event):
            if not name.startswith("cmfd_"):
                is_of({name: facet}, facet["_schemaURL"].partition("#")[0], known)
                is_of(facet, facet["_schemaURL"], known)
                checked.add(name)
    assert checked >= STANDARD


def below(base: Any) -> Iterator[Any]:
    """Yield all classes that are of another one."""
    for one in base.__subclasses__():
        yield one
        yield from below(one)


def facets_of(event: Event) -> Iterator[tuple[str, Any]]:
    """Yield all facets of an event."""
    for holder in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        yield from (holder["facets"] | holder.get("outputFacets", {})).items()


def is_of(value: Any, schema: str, known: Any) -> None:
    """Hold a value against a schema, with its formats."""
    jsonschema.Draft202012Validator(
        {"$ref": schema},
        registry=known,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    ).validate(value)


def test_own_facets_are_of_their_schemas(invoke: Invoke, tmp_path: Path) -> None:
    """What `--schemas` prints is what they claim to be of."""
    with_factors(invoke, tmp_path)
    schemas = json.loads(invoke("export", "openlineage", "--schemas").stdout)
    jsonschema.Draft202012Validator.check_schema(schemas)
    seen = set()
    for event in printed(invoke):
        for name, facet in facets_of(event):
            if name.startswith("cmfd_"):
                base, _, definition = facet["_schemaURL"].partition("#")
                assert base == schemas["$id"] == facets.BASE
                wanted = {**schemas, "$ref": f"#{definition}"}
                jsonschema.Draft202012Validator(wanted).validate(facet)
                seen.add(definition.rpartition("/")[2])
    assert seen == set(schemas["$defs"]) - {"Facet", "Value"}


def test_its_client_sends_what_is_new(
    invoke: Invoke, site: ASite, tmp_path: Path, received: Received
) -> None:
    """With a cursor, an export sends runs of which something was merged since the last one."""
    send = ("export", "openlineage", "--send", "--cursor", str(tmp_path / "sent"))
    invoke(*send)
    assert len(received) == 12
    assert received == printed(invoke)
    invoke(*send)
    assert len(received) == 12

    site.take(a_run(3, loss=[1.0]))
    say(site.path, NoteKind.TAG, {an_id("exec", 1).hex(): "seen"})
    invoke(*send)
    new = {event["run"]["runId"].replace("-", "") for event in received[12:]}
    assert new == ids("run", 1, 3) | ids("exec", 1, 3)

    (tmp_path / "sent").write_text('{"id": 1, "digest": "of an index that was"}')
    invoke(*send)
    assert len(received) == 12 + 8 + 16


@pytest.mark.parametrize("answer", [403, 503, pytest.param(0, marks=pytest.mark.slow)])
def test_what_was_cut_off_is_sent_again(
    invoke: Invoke,
    tmp_path: Path,
    received: Received,
    answer: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Each event comes at least once, and what comes again says the same of the same.

    Whether the receiver takes none from us, has trouble of its own, or says nothing at all.
    """
    send = ("export", "openlineage", "--send", "--cursor", str(tmp_path / "sent"))
    received.n_wanted, received.answer = 5, answer
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TIMEOUT", "60" if answer else "5")
    assert "could not be sent" in invoke(*send, code=19).stderr
    received.n_wanted = None
    invoke(*send)
    assert len(received) == 5 + 12
    assert received[:5] == received[5:10]
    assert received[5:] == printed(invoke)


@pytest.mark.parametrize("answer", [400, 413, 422])
def test_what_the_receiver_refuses_holds_nothing_up(
    invoke: Invoke, site: ASite, tmp_path: Path, received: Received, answer: int
) -> None:
    """It is told by name, all others arrive, and it does not come again with the next runs."""
    send = ("export", "openlineage", "--send", "--cursor", str(tmp_path / "sent"))
    received.n_wanted, received.answer = 0, answer
    said = invoke(*send, code=12).stderr
    assert "START of digits.train, run " in said
    assert "and 2 more" in said
    assert received.n_asked == 12
    received.n_wanted = None
    site.take(a_run(3))
    invoke(*send)
    new = {event["run"]["runId"].replace("-", "") for event in received}
    assert new == ids("run", 3) | ids("exec", 3)


@pytest.mark.slow
def test_what_is_merged_is_followed(site: ASite, received: Received) -> None:
    """A run is told of while it runs, again when more was merged; who is away is tried again."""
    received.n_wanted = 5
    words = [sys.executable, "-m", "cmfd", "export", "openlineage", "--send", "--follow"]
    with subprocess.Popen([*words, "--every", "0.1", "--site", str(site.path)]) as follower:
        wait_until(lambda: received.n_asked > 7, "asked again", 60)
        received.n_wanted = None
        wait_until(lambda: len(received) == 5 + 12, "all of it", 60)
        assert received[:5] == received[5:10]
        assert set(of(received[5:], "exec", 2)) == {"START", "RUNNING"}
        site.take(a_run(2, loss=[1.0]))
        wait_until(lambda: len(received) == 5 + 16, "what is new", 60)
        assert set(of(received[17:], "exec", 2)) == {"START", "COMPLETE"}
        follower.terminate()


def test_who_is_not_reached_is_told(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing counts as sent that was not."""
    cursor = tmp_path / "sent"
    send = ("export", "openlineage", "--send", "--cursor", str(cursor))
    assert "OPENLINEAGE_URL" in invoke(*send, code=3).stderr
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "async_http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", "http://127.0.0.1:9")
    assert "which events arrived" in invoke(*send, code=3).stderr
    nowhere = {"TYPE": "http", "URL": "http://127.0.0.1:9", "RETRY": '{"total": 0}'}
    for name, value in nowhere.items():
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)
    assert "could not be sent" in invoke(*send, code=19).stderr
    assert not cursor.exists()
    cursor.write_text("[]")
    assert "Delete it" in invoke(*send, code=21).stderr


def test_a_filter_chooses_runs(invoke: Invoke, tmp_path: Path) -> None:
    """And a file is written as a whole."""
    out = tmp_path / "events.jsonl"
    assert invoke("export", "openlineage", "--where", "rate = 0.1", "-o", str(out)).stdout == ""
    events = [json.loads(line) for line in out.read_text().splitlines()]
    assert {event["run"]["runId"].replace("-", "") for event in events} == ids("run", 0) | ids(
        "exec", 0
    )
