"""`cmfd log`: what was merged into a site, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json, print_tables
from cmfd.merge import receipts
from cmfd.merge.layout import open_site
from cmfd.query.packs import latest
from cmfd.report.packs import graph_lines, packs_table
from cmfd.report.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.signatures import Signer
    from cmfd.query.packs import PackLine


@example(
    "cmfd log -n 5",
    "cmfd log --show-signature",
    "cmfd log --graph",
)
@click.command("log")
@click.option(
    "-n", "--limit", type=options.LIMIT, default=20, show_default=True, help="At most; -1: all."
)
@click.option("--show-signature", "signed", is_flag=True, help="Also say who signed each.")
@click.option(
    "--graph", is_flag=True, help="Draw which came together from elsewhere, how, and by whom."
)
@options.site
@options.as_json
def command(site: Path, *, limit: int, signed: bool, graph: bool, as_json: bool) -> None:
    """List the packs that were merged into a site, latest first: whose, of what, from where."""
    if graph and signed:
        raise click.UsageError("--graph draws no signatures: leave out one of the two.")
    found = latest(site, limit=limit)
    signers = _signers(site, found) if signed else None
    received = receipts.of(open_site(site), [one.digest for one in found]) if graph else {}
    if as_json:
        print_json(_documents(found, signers, received if graph else None))
    elif graph:
        click.echo("\n".join(printable(line) for line in graph_lines(found, received)))
    else:
        print_tables([packs_table(found, signers)])


def _signers(site_dir: Path, found: list[PackLine]) -> dict[str, Signer | None]:
    from cmfd.merge import signatures  # noqa: PLC0415 - only where signatures are shown

    site = open_site(site_dir)
    return {
        one.digest: signatures.signer(site, one.digest, signatures.of(site, one.digest))
        for one in found
    }


def _documents(
    found: list[PackLine],
    signers: dict[str, Signer | None] | None,
    received: dict[str, receipts.Receipt] | None,
) -> list[dict[str, object]]:
    documents = []
    for one in found:
        document = msgspec.structs.asdict(one)
        if signers is not None:
            signer = signers[one.digest]
            told = None if signer is None else {"name": signer.name, "key": signer.key}
            document["signer"] = told
        if received is not None:
            receipt = received.get(one.digest)
            document["received"] = receipt and {
                "at_ns": receipt.at_ns, "by": receipt.by, "source": receipt.source
            }  # fmt: skip
        documents.append(document)
    return documents
