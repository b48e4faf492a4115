"""`cmfd serve`: a site over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from cmfd.cli import options
from cmfd.cli.help import Group, example
from cmfd.cli.serve.token import token
from cmfd.errors import ConfigError
from cmfd.merge.layout import open_site


@example(
    "cmfd serve --site /project/cmfd",
    "cmfd serve --listen 0.0.0.0:8765 --tls-cert cert.pem --tls-key key.pem",
    "cmfd serve token add ana --scope read --scope push",
)
@click.group("serve", cls=Group, invoke_without_command=True)
@click.option(
    "--listen",
    default="127.0.0.1:8765",
    show_default=True,
    metavar="ADDRESS:PORT",
    help="Where to listen; port 0 is any that is free.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PEM",
    help="The certificate, with its chain.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PEM",
    help="The certificate's key.",
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A proxy in front, whose X-Forwarded-For is believed; repeatable.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Let in all who can connect: on this machine, whoever is on it.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    default=200.0,
    show_default=True,
    metavar="N",
    help="Requests a second of one token, and of one address.",
)
@click.option(
    "--max-pack-bytes",
    type=click.IntRange(min=1),
    metavar="N",
    help="A larger pack is not taken; default: 8 GiB.",
)
@click.option("--no-access-log", is_flag=True, help="Do not log each request.")
@options.site
@click.pass_context
def command(  # noqa: PLR0913 - options
    ctx: click.Context,
    *,
    site: Path,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    proxies: tuple[str, ...],
    no_token: bool,
    rate: float,
    max_pack_bytes: int | None,
    no_access_log: bool,
) -> None:
    """
    Let other sites exchange packs with this one over https.

    Who may is said by tokens: `cmfd serve token add`. What is asked is logged on standard error,
    one JSON document a line. /health, /metrics and /openapi.json are for who looks after it.
    SIGTERM ends it when what is under way is answered; nothing is lost when it is killed.
    """
    if ctx.invoked_subcommand is not None:
        return
    try:
        from cmfd.serve import server  # noqa: PLC0415 - an extra, and only here
        from cmfd.serve.limits import Rate  # noqa: PLC0415 - as above
        from cmfd.serve.service import USUAL  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"cmfd serve needs {error.name}, which is not installed; nothing listens."
            " Install it: pip install 'cmfd[serve]'"
        ) from error
    each = Rate(rate, 10 * rate)
    host, port = server.parse_listen(listen)
    server.serve(
        open_site(site),
        server.Options(
            host,
            port,
            tls_cert,
            tls_key,
            needs_token=not no_token,
            proxies=proxies,
            limits=USUAL._replace(
                of_address=each, of_token=each, pack_bytes=max_pack_bytes or USUAL.pack_bytes
            ),
            logs_requests=not no_access_log,
        ),
        lambda address: click.echo(f"{site} is served at {address}"),
    )


command.add_command(token)
