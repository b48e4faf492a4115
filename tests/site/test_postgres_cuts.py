"""A connection to PostgreSQL that ends within a merge: nothing is lost, nothing doubled."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.daemons import wait_until
from support.mergers import digest_of
from support.packs import small_run, write_pack
from support.postgres import Server
from support.serving import cutting

from cmfd.errors import StoreError
from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site
from cmfd.store.postgres import staging
from cmfd.store.postgres.store import PostgresStore
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.store.postgres.connection import PostgresIndex

pytestmark = pytest.mark.slow

MANY_BYTES = 1 << 24


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.remove()


@pytest.fixture
def packs(tmp_path: Path) -> list[Path]:
    return [
        write_pack(tmp_path / "packs", small_run(number, n_params=200), sealed_ns=number)
        for number in (1, 2)
    ]


def digests(packs: list[Path], path: Path) -> tuple[str, str]:
    """Return the digests of an index without these packs, and with all of them."""
    with closing(SiteStore(path)) as index:
        empty = index.digest()
        assert index.absorb_group([(pack, pack.stem) for pack in packs]) == [True] * len(packs)
        return empty, index.digest()


@pytest.mark.parametrize(("cut", "step"), [("statements", 19_000), ("answers", 900)])
def test_a_connection_that_is_cut_anywhere_takes_all_or_nothing(
    tmp_path: Path, server: Server, packs: list[Path], cut: str, step: int
) -> None:
    """In connecting, copying, inserting, committing; then the same packs are merged once."""
    empty, whole = digests(packs, tmp_path / "index.db")
    site = init_site(tmp_path / "site", server.url)
    merge_site(site.path)
    found, seen = [], set()
    for n_bytes in range(step // 2, MANY_BYTES, step):
        cutting_it = cutting(server.socket, n_bytes, answers=cut == "answers")
        with cutting_it as port, suppress(StoreError):
            url = f"postgresql://cmfd@127.0.0.1:{port}/postgres"
            with closing(PostgresStore(url, site.schema)) as index:
                found = index.absorb_group([(pack, pack.stem) for pack in packs])
        seen.add(digest_of(site.path))
        assert seen <= {empty, whole}
        if found:
            break
    # Where only the last answer was cut, they are there already.
    assert found in ([True, True], [False, False])
    assert empty in seen
    assert digest_of(site.path) == whole


def test_a_server_process_that_is_killed_while_it_copies_loses_nothing(
    tmp_path: Path, server: Server, packs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packs stay in the inbox, and the next merge takes them."""
    _, whole = digests(packs, tmp_path / "index.db")
    site = init_site(tmp_path / "site", server.url)
    merge_site(site.path)
    killed: list[int] = []
    copy_table = staging._copy_table

    def killing(db: PostgresIndex, *others: Any) -> int:
        pid = db.raw.info.backend_pid
        if others[-1] == "param" and not killed:
            holdable = staging._holdable

            def hold(*some: Any) -> Any:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the process is gone", 30)
                return holdable(*some)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(staging, "_holdable", hold)
                return copy_table(db, *others)
        return copy_table(db, *others)

    monkeypatch.setattr(staging, "_copy_table", killing)
    with pytest.raises(StoreError, match="packs stay in the inbox"):
        merge_site(site.path, [tmp_path / "packs"])
    assert len(killed) == 1
    assert {pack.name for pack in site.inbox.iterdir()} == {pack.name for pack in packs}

    def answers() -> bool:  # it first puts right what the killed process may have left
        with suppress(StoreError):
            return bool(digest_of(site.path))
        return False

    wait_until(answers, "the server answers again", 60)
    assert merge_site(site.path).absorbed == 2
    assert digest_of(site.path) == whole
