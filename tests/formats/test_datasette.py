"""What Datasette is told of a site's index."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.energy import a_row
from support.sites import ASite, Invoke, a_run, invoker, set_param

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.sqlite

ASKED = {"metric": "loss", "path": "model.bin"}


def test_all_that_a_browser_shows_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each column of each view has a meaning; tables are hidden; questions have answers."""
    contents = [a_run(n, loss=[2.0, 1.0]) for n in range(2)]
    set_param(contents[0], 0, "rate", "float", 0.5)
    contents[0]["energy"] = [a_row(run=0)]
    site = ASite(tmp_path / "site")
    invoke: Invoke = invoker(site, tmp_path, monkeypatch)
    assert "is no site" in invoke("site", "datasette", code=4).stderr
    site.take(*contents)

    said = json.loads(invoke("site", "datasette").stdout)["databases"]["index"]

    with closing(sqlite3.connect(f"file:{site.path}/index.db?mode=ro", uri=True)) as db:
        names = db.execute("SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')")
        for kind, name in names.fetchall():
            shown = said["tables"].pop(name)
            if kind == "table":
                assert shown == {"hidden": True}
                continue
            assert "A row is " in shown["description_html"]
            cursor = db.execute(f"SELECT * FROM {name} LIMIT 1")
            assert list(shown["columns"]) == [column[0] for column in cursor.description]
            assert all(len(meaning) > 2 for meaning in shown["columns"].values())
        for question in said["queries"].values():
            assert db.execute(question["sql"], ASKED).fetchall(), question["title"]
    assert not said["tables"]
    runs = json.loads(invoke("site", "datasette").stdout)["databases"]["index"]["tables"]["runs"]
    assert runs["units"] == {"wall_s": "s", "cpu_s": "s", "max_rss_bytes": "B"}
    assert runs["columns"]["began_ns"] == "when it began (nanoseconds since 1970, UTC)"
    assert runs["columns"]["max_rss_bytes"].endswith("(bytes)")
