"""What CMF exports comes in, is known, and goes out as it was."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from support import cmf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Cmfd = Callable[..., Any]


def written(path: Path, document: object) -> str:
    """Write a document; return its path."""
    path.write_text(json.dumps(document))
    return str(path)


def same(document: object) -> str:
    """Return what is equal where documents are; NaN is itself."""
    return json.dumps(document, sort_keys=True)


def test_what_came_in_goes_out_as_it_was(cmfd: Cmfd, tmp_path: Path) -> None:
    """All bits of floats, NaN, 2^63, numbers, order: nothing is lost between in and out."""
    document = cmf.document()
    done = cmfd("import", "cmf", written(tmp_path / "a.json", document), "--json")
    assert [(one["stage"], one["state"]) for one in done] == [("Prepare", "new"), ("Train", "new")]
    assert same(cmfd("export", "cmf")) == same(document)
    assert cmfd("export", "cmf", "--pipeline", "Tracks")["Pipeline"][0]["name"] == "Tracks"
    assert "No execution of pipeline" in cmfd("export", "cmf", "--pipeline", "Nowhere", code=4)


def test_executions_can_be_asked_for_as_any(cmfd: Cmfd, tmp_path: Path) -> None:
    """Parameters with types, metrics, lineage by the digests that CMF and DVC know."""
    cmfd("import", "cmf", written(tmp_path / "a.json", cmf.document()))
    shown = cmfd("show", "Train", "--json")
    params = {one["key"]: (one["type"], one["value"]) for one in shown["params"]}
    assert params == {"n_est": ("json", 2**63), "user_type": ("str", "x")}
    last = {one["name"]: one["last"] for one in shown["metrics"]}
    assert (last["auc"], last["n"]) == (0.87425192807, 7)
    assert {(one["kind"], one["path"]) for one in shown["artifacts"]} == {
        ("dataset", "out/train.tsv"), ("model", "model.pkl"), ("metrics", "scores")
    }  # fmt: skip
    assert not shown["facts"]
    reached = cmfd("impact", f"md5:{cmf.DATA}", "--json")
    assert f"md5:{cmf.MODEL}" in json.dumps(reached)
    (best,) = cmfd("best", "--pipeline", "Tracks", "--metric", "auc", "--json")["leaders"]
    assert best["value"] == 0.87425192807


@pytest.mark.slow
def test_the_same_again_is_nothing_new_and_later_states_win(cmfd: Cmfd, tmp_path: Path) -> None:
    """In whatever order they come; an event that was added after the first export is there."""
    document = cmf.document()
    later = copy.deepcopy(document)
    train = later["Pipeline"][0]["stages"][1]["executions"][0]
    train["custom_properties"]["n_est"] = 100
    train["last_update_time_since_epoch"] += 1000
    train["events"].append({"type": 3, "artifact": cmf.artifact("Label", 9, "l.csv", "13" * 16)})
    first, second = (
        written(tmp_path / f"{number}.json", said) for number, said in enumerate((document, later))
    )
    cmfd("import", "cmf", first)
    digest = cmfd("site", "digest")
    again = cmfd("import", "cmf", first, "--json")
    assert [one["state"] for one in again] == ["known", "known"]
    assert cmfd("site", "digest") == digest

    done = cmfd("import", "cmf", second, "--json")
    assert [one["state"] for one in done] == ["known", "changed"]
    cmfd("import", "cmf", first)
    assert same(cmfd("export", "cmf")) == same(later)
    for name in (second, first):
        cmfd("import", "cmf", name, site="other")
    assert same(cmfd("export", "cmf", site="other")) == same(later)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"Pipeline": [', "line 1, column 15"),
        ('{"Pipeline": [{"stages": [{"executions": 3}]}]}', "$.Pipeline[0].stages[0].executions"),
        ("[]", "Expected `object`"),
        (
            '{"Pipeline": [{"name": "p", "create_time_since_epoch": 900000000000000000}]}',
            "year 2261",
        ),
        ('{"Pipeline": [{"name": "\\ud800"}]}', "surrogates"),
        ('{"Pipe": []}', "missing required field `Pipeline`"),
    ],
)
def test_a_bad_file_is_said_with_the_place(
    cmfd: Cmfd, tmp_path: Path, text: str, place: str
) -> None:
    """And nothing is kept of it: not even a site is made."""
    (tmp_path / "bad.json").write_text(text)
    said = cmfd("import", "cmf", str(tmp_path / "bad.json"), code=21)
    assert place in said
    assert "bad.json" in said
    assert not (tmp_path / "site").exists()
