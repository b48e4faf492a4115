"""The server against its own OpenAPI document: what it says is what is answered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.serving import served

from cmfd.serve.openapi import document
from cmfd.serve.operations import OPERATIONS

if TYPE_CHECKING:
    from support.exchange import MakeSite

LIMIT_S = 240


def test_the_document_has_every_operation_and_nothing_else() -> None:
    """And each says what it needs and what may come back; references lead somewhere."""
    told = document()
    found = {
        (way.upper(), path, one["operationId"])
        for path, ways in told["paths"].items()
        for way, one in ways.items()
    }
    assert found == {(one.method, one.path, one.name) for one in OPERATIONS}
    for operation in OPERATIONS:
        one = told["paths"][operation.path][operation.method.lower()]
        assert one["summary"].endswith((".", "?"))
        assert (operation.scopes is None) == ("security" not in one)
    text = json.dumps(told)
    names = {piece.split('"')[0] for piece in text.split("#/components/schemas/")[1:]}
    assert names <= set(told["components"]["schemas"])


@pytest.mark.slow
def test_whatever_is_asked_is_answered_as_the_document_says(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """Schemathesis asks what fits the document and what does not, and follows what it finds."""
    schemathesis = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert schemathesis is not None
    # That a text is a filter, or bytes the pack of a name, no schema can say.
    (tmp_path / "schemathesis.toml").write_text(
        "".join(
            f'[[operations]]\ninclude-name = "{name}"\n'
            "checks.positive_data_acceptance.enabled = false\n"
            for name in ("POST /v1/part", "PUT /v1/packs/{digest}")
        )
    )
    with served(make_site("hub", 1, 2)) as hub:
        words = (
            schemathesis, "run", f"{hub.url}/openapi.json", "--max-examples", "15", "--phases",
            "examples,coverage,fuzzing", "--seed", "7", "--no-color", "--max-response-time", "30",
            "-H", f"Authorization: Bearer {hub.token}",
        )  # fmt: skip
        done = subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert hub("GET", "/v1/about")[0] == 200
