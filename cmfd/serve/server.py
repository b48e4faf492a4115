"""Listening: where, for whom, and until when."""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import uvicorn

from cmfd.errors import ConfigError
from cmfd.serve import log
from cmfd.serve.app import application
from cmfd.serve.connection import Connection
from cmfd.serve.service import USUAL, Limits, Service
from cmfd.serve.tokens import all_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.merge.layout import Site

MOST_CONNECTIONS = 400
"""At a time; more are told to come again."""

_STOPS_S = 30
"""How long a server that was told to end waits for what it is still answering."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: what is overheard stays secret when the key is lost. TLS 1.3 has no others."""

_KEEPS_S = 60
"""How long a connection may stay without asking anything."""


@dataclass(frozen=True)
class Options:
    """
    How a site is served.

    Attributes
    ----------
    host : str
        An address of this machine.
    port : int
        0: any that is free.
    tls_cert, tls_key : Path or None
        The certificate with its chain, and its key.
    needs_token : bool
        Whether only who has a token gets in.
    proxies : tuple of str
        Addresses of proxies, which say where a request comes from.
    limits : Limits
        How much anybody may ask.
    logs_requests : bool
        Whether each request is logged.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    needs_token: bool = True
    proxies: tuple[str, ...] = ()
    limits: Limits = USUAL
    logs_requests: bool = True

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_listen(text: str) -> tuple[str, int]:
    """
    Understand ``ADDRESS:PORT``, as 127.0.0.1:8765 or [::1]:8765.

    Raises
    ------
    ConfigError
        It is none.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    with suppress(ValueError):
        if 0 <= int(port) < 1 << 16:
            return str(ipaddress.ip_address(host)), int(port)
    raise ConfigError(
        f"cannot listen at {text!r}: name an address of this machine and a port, as 127.0.0.1:8765,"
        " [::1]:8765 or 0.0.0.0:8765; nothing listens"
    )


def check(site: Site, options: Options) -> None:
    """
    Raise unless a site may be served in this way.

    Raises
    ------
    ConfigError
        Somebody could get in, or overhear a token, who must not; nothing listens.
    """
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together; nothing listens")
    known = all_of(site)
    if not options.is_local:
        if not options.needs_token:
            raise ConfigError(
                f"without tokens, whoever reaches {options.host} could read {site.path} and push to"
                " it; nothing listens. Leave out --no-token, or listen at 127.0.0.1"
            )
        if options.tls_cert is None:
            raise ConfigError(
                f"tokens that go to {options.host} without TLS can be overheard; nothing listens."
                " Name --tls-cert and --tls-key, or listen at 127.0.0.1, behind a proxy with TLS"
            )
    if options.needs_token and not known:
        raise ConfigError(
            f"nobody has a token for {site.path} yet; nothing listens."
            f" Make one: cmfd serve token add NAME --site {site.path}"
        )


def serve(site: Site, options: Options, told: Callable[[str], None]) -> None:
    """
    Serve a site until this process is told to end; what is under way then is still answered.

    Parameters
    ----------
    site : Site
        The site.
    options : Options
        How.
    told : callable
        Called with the address, once it is listened there.

    Raises
    ------
    ConfigError
        It must not be served like that, or cannot; nothing listens.
    """
    log.set_up(requests=options.logs_requests)
    server, listening = ready(site, options)
    with listening:
        told(url_of(listening, tls=options.tls_cert is not None))
        server.run(sockets=[listening])


def ready(site: Site, options: Options) -> tuple[uvicorn.Server, socket.socket]:
    """Return a server and the socket on which it is to run; parameters as of `serve`."""
    check(site, options)
    service = Service(site, options.limits, is_open=not options.needs_token)
    return uvicorn.Server(_configured(service, options)), _listening(options)


def url_of(listening: socket.socket, *, tls: bool) -> str:
    """Return the address of a server that listens."""
    host, port = listening.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _listening(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((options.host, options.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot listen at {options.host}, port {options.port}: {error}; nothing listens."
            " Name another port with --listen"
        ) from error
    return listening


def _configured(service: Service, options: Options) -> uvicorn.Config:
    class Patient(Connection):
        proxies: ClassVar[frozenset[str]] = frozenset(options.proxies)
        addresses: ClassVar[Counter[str]] = Counter()

    config = uvicorn.Config(
        application(service),
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(options.proxies),
        forwarded_allow_ips=list(options.proxies),
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=_KEEPS_S,
        timeout_graceful_shutdown=_STOPS_S,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
        ssl_ciphers=_CIPHERS,
    )
    try:
        config.load()
    except OSError as error:  # of TLS: errors of ssl are such
        raise ConfigError(
            f"cannot use {options.tls_cert} with {options.tls_key}: {error}; nothing listens."
            " They must be PEM, the certificate with its chain"
        ) from error
    return config
