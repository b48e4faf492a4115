"""Who may use a site over HTTP: only hashes are kept, and what is taken back counts at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from cmfd.errors import ConfigError, NotFoundError
from cmfd.serve import tokens
from cmfd.serve.tokens import Keyring

if TYPE_CHECKING:
    from support.exchange import MakeSite


def test_only_the_hash_of_a_token_is_kept(make_site: MakeSite) -> None:
    """Who reads the file, or a backup of it, gets in nowhere."""
    site = make_site("hub")
    made = tokens.add(site, "ana@lab", ["read"], ["heat"])
    path = tokens.path_of(site)
    assert made not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    found = Keyring(site).bearer(made)
    assert found is not None
    assert (found.name, found.pipelines) == ("ana@lab", ("heat",))
    assert found.scopes == {"read"}
    assert Keyring(site).bearer(made[:-1]) is None
    assert Keyring(site).bearer("") is None


def test_a_token_that_was_taken_back_opens_nothing_from_then_on(make_site: MakeSite) -> None:
    """Also where a server has read the tokens before."""
    site = make_site("hub")
    made, other = tokens.add(site, "ana", ["read"], []), tokens.add(site, "bob", ["read"], [])
    ring = Keyring(site)
    assert ring.bearer(made) is not None
    tokens.remove(site, "ana")
    assert ring.bearer(made) is None
    assert ring.bearer(other) is not None
    tokens.path_of(site).unlink()
    assert ring.bearer(other) is None


def test_names_are_given_once(make_site: MakeSite) -> None:
    """The log says who did what by them."""
    site = make_site("hub")
    tokens.add(site, "ana", ["read"], [])
    before = tokens.path_of(site).read_bytes()
    with pytest.raises(ConfigError, match="already"):
        tokens.add(site, "ana", ["push"], [])
    with pytest.raises(ConfigError, match="no name"):
        tokens.add(site, "an a", ["push"], [])
    with pytest.raises(NotFoundError, match="it has: ana"):
        tokens.remove(site, "bob")
    assert tokens.path_of(site).read_bytes() == before


def test_pipelines_have_any_name(make_site: MakeSite) -> None:
    """Quotes, other alphabets and what no character is."""
    site = make_site("hub")
    names = ['a"b\\c', "Wärme\U0001f525", "two\nlines"]
    made = tokens.add(site, "ana", ["read"], names)
    found = Keyring(site).bearer(made)
    assert found is not None
    assert list(found.pipelines) == names


def test_a_file_that_cannot_be_understood_lets_nobody_in(make_site: MakeSite) -> None:
    """And says so: an operator who edits it sees why."""
    site = make_site("hub")
    made = tokens.add(site, "ana", ["read"], [])
    path = tokens.path_of(site)
    path.write_text(path.read_text().replace("read", "everything"))
    with pytest.raises(ConfigError, match="nobody gets in"):
        Keyring(site).bearer(made)


def test_tokens_that_are_made_and_taken_back_at_once(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is lost, and none that was taken back is there again."""
    site = make_site("site")
    tokens.add(site, "old", ["read"], [])
    write = tokens._write

    def slowly(*arguments: Any) -> None:
        time.sleep(0.02)
        write(*arguments)

    monkeypatch.setattr(tokens, "_write", slowly)
    with ThreadPoolExecutor(4) as pool:
        gone = pool.submit(tokens.remove, site, "old")
        made = [pool.submit(tokens.add, site, f"t{number}", ["read"], []) for number in range(4)]
    gone.result()
    assert len({one.result() for one in made}) == 4
    assert set(tokens.all_of(site)) == {f"t{number}" for number in range(4)}
