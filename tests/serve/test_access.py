"""Who gets in, where it is listened, and what is told of it: with real requests, of curl too."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemons import wait_until
from support.exchange import MakeSite, digest, to
from support.programs import program
from support.serving import Served, certificate, served, token_for

from cmfd.errors import ConfigError, RemoteError
from cmfd.serve import server, tokens
from cmfd.serve.limits import Rate
from cmfd.serve.service import USUAL
from cmfd.sync import remotes
from cmfd.sync.connect import connect
from cmfd.sync.credentials import token_for as kept_for
from cmfd.sync.exchange import push

if TYPE_CHECKING:
    from pathlib import Path

WAYS = (
    ("GET", "/v1/about"), ("POST", "/v1/greeting"), ("POST", "/v1/since"), ("POST", "/v1/part"),
    ("POST", "/v1/read"), ("GET", f"/v1/packs/{'0' * 64}"), ("PUT", f"/v1/packs/{'0' * 64}"),
    ("POST", "/v1/packs"), ("POST", "/v1/signed"), ("POST", "/v1/signatures"),
    ("GET", f"/v1/incoming/{'0' * 64}"), ("POST", "/v1/merge"), ("GET", "/metrics"),
)  # fmt: skip
QUESTIONS = {
    "/v1/since": b"{}", "/v1/greeting": b"{}", "/v1/part": b'{"where":"","depth":0}',
    "/v1/packs": b"[]", "/v1/read": b'{"digests":[]}',
}  # fmt: skip


def test_nothing_is_told_or_done_without_a_token(make_site: MakeSite) -> None:
    """Each way by itself: none, a wrong one, one that was taken back, another scheme."""
    site = make_site("hub", 1)
    gone = token_for(site, "gone")
    tokens.remove(site, "gone")
    with served(site) as hub:
        for method, path in WAYS:
            for shown in ("", "cmfd_wrong", gone):
                status, body = hub(method, path, QUESTIONS.get(path), token=shown)
                assert status in {401, 429}, (method, path)
                assert site.id.encode() not in body
        assert hub("GET", "/v1/about", Authorization="Basic YTpi")[0] in {401, 429}
        assert hub("GET", "/health", token="")[0] == 200
        assert hub("GET", "/openapi.json", token="")[0] == 200


def test_a_token_does_what_it_is_for(make_site: MakeSite) -> None:
    """Reading is not pushing, and neither is looking at figures."""
    site = make_site("hub", 1)
    may = {"read": set(), "push": set(), "metrics": set()}  # type: dict[str, set[tuple[str, str]]]
    with served(site) as hub:
        for scope in tokens.SCOPES:
            token = token_for(site, scope, scope)
            for way in WAYS:
                status, _ = hub(*way, QUESTIONS.get(way[1]), token=token)
                assert status not in {401, 500}
                if status != 403:
                    may[scope].add(way)
    both = {("GET", "/v1/about"), ("POST", "/v1/greeting")}
    assert may["metrics"] == {("GET", "/metrics")}
    assert may["read"] & may["push"] == both
    assert set(WAYS) == may["read"] | may["push"] | may["metrics"]
    assert not any(path.endswith(("packs", "merge")) for _, path in may["read"])


def test_names_that_lead_elsewhere_lead_nowhere(make_site: MakeSite, tmp_path: Path) -> None:
    """In addresses and in bodies: no file but a pack is read, none is written but packs."""
    site = make_site("hub", 1)
    (tmp_path / "secret").write_text("hidden")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    names = (
        "..%2f..%2fsecret", "../../secret", "%2e%2e/%2e%2e/secret", "a" * 63, "A" * 64,
        "a" * 64 + ".db", "%00" + "a" * 63, "..%5c..%5csecret", "a" * 5000,
    )  # fmt: skip
    with served(site) as hub:
        for name in names:
            status, body = hub("GET", f"/v1/packs/{name}")
            assert status in {404, 405}
            assert b"hidden" not in body
            assert hub("PUT", f"/v1/packs/{name}", b"data")[0] in {404, 405, 422}
            assert hub("GET", f"/v1/incoming/{name}")[0] in {200, 404}
            sent = json.dumps([{"digest": "../../secret", "data": "YQ=="}]).encode()
            assert b"is no pack" in hub("POST", "/v1/packs", sent)[1]
    changed = {
        path for path, at in before.items() if path.is_file() and path.stat().st_mtime_ns != at
    }
    assert not {path for path in changed if path.name != tokens.FILE}
    assert {one.name for one in site.path.iterdir()} <= {
        "site.toml", "packs", "index.db", "merge.lock", "tokens.toml", "inbox", "incoming",
        "index.db-journal",
    }  # fmt: skip


def test_who_asks_too_much_is_told_when_to_come_again(make_site: MakeSite) -> None:
    """By token and by address; and who guesses tokens is held up sooner, others are not."""
    site = make_site("hub", 1)
    limits = USUAL._replace(of_token=Rate(0.5, 5.0), failures=Rate(0.01, 3.0))
    other = token_for(site, "other")
    with served(site, limits=limits) as hub:
        assert [hub("GET", "/v1/about")[0] for _ in range(6)] == [200] * 5 + [429]
        assert hub("GET", "/v1/about", token=other)[0] == 200
        guesses = [hub("GET", "/v1/about", token="guess")[0] for _ in range(5)]
        assert guesses == [401] * 3 + [429] * 2
        assert hub("GET", "/v1/about", token=other)[0] == 200
    with served(site, limits=USUAL._replace(of_address=Rate(0.5, 2.0))) as hub:
        assert [hub("GET", "/health", token="")[0] for _ in range(3)] == [200, 200, 429]


@pytest.mark.slow
def test_an_exchange_waits_as_long_as_it_is_told(make_site: MakeSite) -> None:
    """And then goes on: nobody has to come again by hand."""
    site, a = make_site("hub"), make_site("a", 1)
    limits = USUAL._replace(of_token=Rate(1.0, 1.0))
    with served(site, limits=limits) as hub, hub.peer() as peer:
        assert push(a, to(site), peer).n_packs == 1
    assert digest(a) == digest(site)


def test_it_listens_beyond_this_machine_only_with_tokens_and_tls(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """And says why not."""
    site = make_site("hub")
    cert, key = certificate(tmp_path)
    tls = server.Options(tls_cert=cert, tls_key=key)
    with pytest.raises(ConfigError, match="nobody has a token"):
        server.check(site, server.Options())
    server.check(site, server.Options(needs_token=False))
    token_for(site, "ana")
    server.check(site, replace(tls, host="0.0.0.0"))
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ConfigError, match="whoever reaches"):
            server.check(site, replace(tls, host=host, needs_token=False))
        with pytest.raises(ConfigError, match="overheard"):
            server.check(site, server.Options(host=host))
    with pytest.raises(ConfigError, match="belong together"):
        server.check(site, server.Options(tls_cert=cert))
    with pytest.raises(ConfigError, match="must be PEM"):
        server.ready(site, server.Options(tls_cert=key, tls_key=cert))
    for wrong in ("8765", "hub:8765", "127.0.0.1", "127.0.0.1:99999", ""):
        with pytest.raises(ConfigError, match="name an address"):
            server.parse_listen(wrong)
    assert server.parse_listen("[::1]:0") == ("::1", 0)


def test_without_tokens_on_this_machine(make_site: MakeSite) -> None:
    """For trying it out; pages in a browser here cannot use it, whatever name leads here."""
    with served(make_site("hub", 1), needs_token=False) as hub:
        for host in ("localhost", f"127.0.0.1:{hub.port}", "[::1]:80", "[::1]"):
            assert hub("GET", "/v1/about", token="", Host=host)[0] == 200
        for host in ("evil.example", f"evil.example:{hub.port}", "127.0.0.1.evil.example", ""):
            assert hub("GET", "/v1/about", token="", Host=host)[0] == 403
        assert hub("POST", "/v1/merge", token="", Origin="https://evil.example")[0] == 403


@pytest.mark.slow
def test_over_tls(make_site: MakeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not prove who it is gets no token, and nothing else."""
    site, a = make_site("hub"), make_site("a", 1)
    cert, key = certificate(tmp_path)
    with served(site, tls_cert=cert, tls_key=key) as hub:
        monkeypatch.setenv("CMFD_TOKEN", hub.token)
        with connect(hub.remote) as peer, pytest.raises(RemoteError, match="does not prove"):
            peer.about()
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        with connect(hub.remote) as peer:
            assert push(a, to(site), peer).n_packs == 1
        context = ssl.create_default_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", hub.port)), server_hostname="127.0.0.1"
        ) as old:
            cipher = old.cipher()
            assert cipher is not None
            assert cipher[0].startswith("ECDHE-")
            assert cipher[0].endswith(("-GCM-SHA256", "-GCM-SHA384", "-POLY1305"))
        plain = remotes.Remote("hub", hub.url.replace("https", "http"))
        with connect(plain) as peer, pytest.raises(RemoteError):
            peer.about()
        with pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(
                socket.create_connection(("127.0.0.1", hub.port)),
                server_hostname="elsewhere",
            )
    assert digest(a) == digest(site)


def test_curl_is_enough(make_site: MakeSite) -> None:
    """What the document says can be done by hand: a whole exchange."""
    curl = program("curl", "curl")
    a, b = make_site("a", 1), make_site("hub")

    def call(*words: str | Path) -> bytes:
        return subprocess.run(
            (curl, "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {hub.token}", *words),
            check=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip

    (pack,) = a.merged_packs()
    with served(b) as hub:
        assert json.loads(call(f"{hub.url}/v1/about"))["site"] == b.id
        call("-T", pack, f"{hub.url}/v1/packs/{pack.stem}")
        assert json.loads(call("-X", "POST", f"{hub.url}/v1/merge"))["taken"]["absorbed"] == 1
        assert call(f"{hub.url}/v1/packs/{pack.stem}") == pack.read_bytes()
        part = call("-r", "100-199", f"{hub.url}/v1/packs/{pack.stem}")
        assert part == pack.read_bytes()[100:200]
    assert digest(a) == digest(b)


def test_the_log_tells_who_did_what_and_no_secret(
    make_site: MakeSite, caplog: pytest.LogCaptureFixture
) -> None:
    """One record a request; tokens are in none, wherever somebody wrote them."""
    site = make_site("hub", 1)
    with served(site) as hub, caplog.at_level(logging.INFO, "cmfd.serve.access"):
        hub("GET", f"/v1/about?token={hub.token}")
        hub("GET", "/v1/about", token=hub.token + "x")
        wait_until(lambda: len(caplog.records) == 2, "both are logged")
    told = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [(one["who"], one["operation"], one["status"]) for one in told] == [
        ("all", "about", 200), ("", "about", 401)
    ]  # fmt: skip
    assert hub.token[8:] not in json.dumps(told)


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    """The variable, the remote's file, or the file of all; of a file that others read, nothing."""
    home = {"HOME": str(tmp_path)}
    file = tmp_path / "token"
    file.write_text("from_file\n")
    file.chmod(0o600)
    known = tmp_path / ".config" / "cmfd" / "credentials.toml"
    known.parent.mkdir(parents=True)
    known.write_text(
        '["https://hub.example"]\ntoken = "of_hub"\n["https://hub.example/b"]\ntoken = "of_b"\n'
    )
    known.chmod(0o600)
    with_file = remotes.Remote("hub", "https://hub.example/b", token_file=str(file))
    assert kept_for(with_file, {**home, "CMFD_TOKEN": "said"}) == "said"
    assert kept_for(with_file, home) == "from_file"
    for url, token in (
        ("https://hub.example/a", "of_hub"), ("https://hub.example/b/", "of_b"),
        ("https://hub.example.org", ""), ("https://hub.example:8443", ""),
    ):  # fmt: skip
        assert kept_for(remotes.Remote("hub", url), home) == token
    for path, remote in ((file, with_file), (known, remotes.Remote("", "https://hub.example"))):
        path.chmod(0o640)
        with pytest.raises(ConfigError, match=r"chmod 600"):
            kept_for(remote, home)
    with pytest.raises(ConfigError, match="no token"):
        kept_for(with_file, {"CMFD_TOKEN": "two words"})


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://ana:cmfd_secret@hub.example/", "would be shown"),
        ("http://hub.example/", "without TLS"),
        ("https://", "server's address"),
        ("https://hub.example/?token=x", "server's address"),
        ("https://hub.example:99999/", "cannot use"),
        ("https://hub.example/a b", "server's address"),
    ],
)
def test_addresses_of_servers_that_are_none(url: str, why: str) -> None:
    """A secret in one is not even shown."""
    with pytest.raises(ConfigError, match=why) as refused:
        remotes.parse(url)
    assert "cmfd_secret" not in str(refused.value)


def test_a_proxy_says_for_whom_it_asks_and_nobody_else(make_site: MakeSite) -> None:
    """Else whoever asks too much would only have to name another address each time."""
    site = make_site("hub")
    limits = USUAL._replace(of_address=Rate(0.01, 3.0))

    def ask(hub: Served) -> list[int]:
        return [
            hub("GET", "/health", X_Forwarded_For=f"192.0.2.{number}")[0] for number in range(5)
        ]

    with served(site, limits=limits) as hub:
        assert ask(hub) == [200] * 3 + [429] * 2
    with served(site, limits=limits, proxies=("127.0.0.1",)) as hub:
        assert ask(hub) == [200] * 5


@pytest.mark.sqlite
def test_what_went_wrong_inside_does_not_tell_where_the_site_lies(make_site: MakeSite) -> None:
    """Its operator sees it; who asks is told what concerns them."""
    site = make_site("hub", 1)
    site.index.write_bytes(b"no database" * 100)
    with served(site) as hub:
        status, body = hub("GET", "/v1/about")
        assert status == 503
        assert os.fsencode(site.path) not in body
        assert hub("GET", "/health")[0] == 503
