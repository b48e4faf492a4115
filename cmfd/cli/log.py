"""`cmfd log`: what was merged into a site, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.query.packs import latest
from cmfd.report.packs import packs_table

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.signatures import Signer
    from cmfd.query.packs import PackLine


@example(
    "cmfd log -n 5",
    "cmfd log --show-signature",
)
@click.command("log")
@click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
@click.option("--show-signature", "signed", is_flag=True, help="Also say who signed each.")
@options.site
@options.as_json
def command(site: Path, *, limit: int, signed: bool, as_json: bool) -> None:
    """List the packs that were merged into a site, latest first: whose, of what, from where."""
    found = latest(site, limit=limit)
    signers = _signers(site, found) if signed else None
    if as_json:
        print_json(found if signers is None else _documents(found, signers))
    else:
        print_tables([packs_table(found, signers)])


def _signers(site_dir: Path, found: list[PackLine]) -> dict[str, Signer | None]:
    from cmfd.merge import signatures  # noqa: PLC0415 - as above
    from cmfd.merge.layout import open_site  # noqa: PLC0415 - only where signatures are shown

    site = open_site(site_dir)
    return {
        one.digest: signatures.signer(site, one.digest, signatures.of(site, one.digest))
        for one in found
    }


def _documents(found: list[PackLine], signers: dict[str, Signer | None]) -> list[dict[str, object]]:
    documents = []
    for one in found:
        signer = signers[one.digest]
        told = None if signer is None else {"name": signer.name, "key": signer.key}
        documents.append({**msgspec.structs.asdict(one), "signer": told})
    return documents
