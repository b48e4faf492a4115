"""The log as a graph: which packs came together, from where, and who brought them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.exchange import add, to

from cmfd.cli.main import cli
from cmfd.merge.reindex import reindex
from cmfd.merge.rules import Pusher
from cmfd.sync.exchange import pull, push
from cmfd.sync.local import SitePeer

if TYPE_CHECKING:
    from support.exchange import MakeSite

    from cmfd.merge.layout import Site


def told(site: Site, *words: str) -> str:
    done = CliRunner().invoke(cli, ["log", "--site", str(site.path), *words])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_what_came_from_elsewhere_is_drawn_beside_what_was_made_here(make_site: MakeSite) -> None:
    """Pushed by one, pulled from another; and it is still known when the index was made anew."""
    a, b, hub = make_site("a", 1, 2), make_site("b", 3), make_site("hub", 4)
    push(a, to(hub), SitePeer(hub, who=Pusher("as", "ann")))
    add(hub, 5)
    pull(hub, to(b, "b"), SitePeer(b))
    drawn = [re.sub(r"[0-9a-f]{12} [0-9a-f]{12} (\d).*", r"\1", one) for one in told(
        hub, "--graph"
    ).splitlines()]  # fmt: skip
    assert drawn[0].startswith(f"*   1 pack pulled from {b.path} by ")
    assert drawn[1:5] == ["|\\", "| * 3", "|/", "* 5"]
    assert drawn[5].startswith("*   2 packs pushed by as:ann, ")
    assert drawn[6] == "|\\"
    assert sorted(drawn[7:9]) == ["| * 1", "| * 2"]
    assert drawn[9:] == ["|/", "* 4"]
    reindex(hub.path)
    by_job = {one["job"]: one["received"] for one in json.loads(told(hub, "--graph", "--json"))}
    assert by_job["4"] is by_job["5"] is None
    assert by_job["1"]["by"] == by_job["2"]["by"] == "as:ann"
    assert by_job["3"]["source"] == str(b.path)


@pytest.mark.slow
def test_what_is_no_receipt_is_in_nobodys_way(make_site: MakeSite) -> None:
    """Nor is a place where none can be written."""
    a, hub = make_site("a", 1), make_site("hub")
    (hub.path / "received" / "2026-01").mkdir(parents=True)
    (hub.path / "received" / "2026-01" / "x").write_bytes(b"\xff\n")
    push(a, to(hub), SitePeer(hub))
    assert "1 pack pushed by" in told(hub, "--graph")
    (a.path / "received").write_text("in the way")
    pull(a, to(hub), SitePeer(hub))
    assert told(a, "--graph").startswith("* ")
