"""The same answers about lineage, and to searches for words, from an index in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import Linked, Made, content, digest
from support.packs import write_pack
from support.postgres import Server

from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.query.impact import impact
from cmfd.query.index import open_index
from cmfd.query.lineage import lineage
from cmfd.query.search import search
from cmfd.query.subject import subject
from cmfd.query.walk import Way

if TYPE_CHECKING:
    from pathlib import Path

GRAPH = [
    Made(frozenset({0}), frozenset({1}), None),
    Made(frozenset({1}), frozenset({2, 3}), 0),
    Made(frozenset({3}), frozenset({4}), None, 1),
    Made(frozenset({5}), frozenset({6}), None),
]
LINKED = [Linked(0, "contains", 7), Linked(5, "same", 4)]


def _answers(site: Path, few: int) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch, open_index(site) as db:
        patch.setattr("cmfd.query.reach.FEW", few)
        patch.setattr("cmfd.query.search._WINDOW", 1)
        return [
            *(lineage(db, subject(db, digest(n)), way) for n in (0, 4, 7) for way in Way),
            *(impact(db, subject(db, digest(0)), limit=limit) for limit in (-1, 1)),
            *(search(db, word) for word in ("ann", "s2", '"tru" and not bob', "nowhere")),
        ]


@pytest.mark.slow
def test_both_engines_say_the_same(tmp_path: Path) -> None:
    """With nesting, links, continuations: node by node, and level by level."""
    pack = write_pack(tmp_path / "packs", content(GRAPH, linked=LINKED), sealed_ns=1)
    server = Server()
    try:
        answers = []
        for name, database in (("file", ""), ("server", server.url)):
            site = tmp_path / name
            init_site(site, database)
            merge_site(site, [pack])
            answers += [_answers(site, few) for few in (500, 0)]
    finally:
        server.remove()
    assert answers[2:] == answers[:2]
