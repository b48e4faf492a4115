"""A site's index as Datasette shows it in a real browser."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from PIL import Image
from support.chromium import screenshot, text_of
from support.console import commands_of, run_in_one_shell, what_is_wrong
from support.daemons import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "datasette.md"
TIMEOUT_S = 100

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


@contextmanager
def started(command: str, place: Path, environ: dict[str, str]) -> Iterator[str]:
    """Start Datasette as the how-to says, on a free port; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [port if word == "8001" else word for word in shlex.split(command)]
    with subprocess.Popen(words, cwd=place, env=environ, stderr=subprocess.PIPE, text=True) as one:
        try:
            told = iter(one.stderr or ())
            assert any("Uvicorn running" in line for line in told)
            yield f"http://127.0.0.1:{port}"
        finally:
            one.terminate()


def rows_of(address: str) -> list[Any]:
    """Return the rows of a view, as a program reads them."""
    with urlopen(f"{address}.json?_shape=array") as answer:
        found: list[Any] = json.load(answer)
    return found


def test_a_browser_shows_a_site_with_its_meanings_and_units(
    tmp_path: Path, new_user: dict[str, str]
) -> None:
    """Without any code, by the commands of the how-to; merges are seen at the next click."""
    *before, last = commands_of(HOWTO)
    before = [one for one in before if not one.command.startswith("pip install")]
    seen = run_in_one_shell(before, tmp_path, new_user, TIMEOUT_S)
    assert not (wrong := what_is_wrong(before, seen)), wrong

    with started(last.command, tmp_path, {**os.environ, **new_user}) as address:
        image = tmp_path / "runs.png"
        screenshot(f"{address}/index/runs", image, width=1400, height=1100)
        with Image.open(image) as drawn:
            assert drawn.size == (1400, 1100)
            assert len(drawn.convert("RGB").getcolors(1 << 24) or ()) > 100

        again = [one for one in before if one.command.startswith("cmfd run")]
        assert run_in_one_shell(again, tmp_path, new_user, TIMEOUT_S)[0].exit_code == 0
        wait_until(lambda: len(rows_of(f"{address}/index/runs")) == 2, "it is merged")
        runs = text_of(f"{address}/index/runs", tmp_path)
        for words in ("A row is one start of a job", "what was run", "sort -n hits.txt", "2 rows"):
            assert words in runs, runs
        assert "MB" in runs, "the unit of max_rss_bytes, as Datasette writes it"

        with urlopen(f"{address}/index/made_from.json?path=sorted.txt") as answer:
            assert "hits.txt" in answer.read().decode()
