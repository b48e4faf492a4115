"""Where an extra's library is missing, its command says which extra to install."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.sites import ASite, a_run

from cmfd.errors import ConfigError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ASK = """
import json, sys
from importlib import import_module
from pathlib import Path

libraries = (
    "h5py jinja2 matplotlib openlineage pandas polars prov psycopg pyarrow rocrate ruamel starlette"
    " uvicorn"
)
sys.modules.update(dict.fromkeys(libraries.split()))  # as if they were not installed

from click.testing import CliRunner
from cmfd.cli.main import cli
from cmfd.errors import CmfdError

said = {}
for extra, words in json.loads(sys.argv[1]).items():
    done = CliRunner().invoke(cli, words)
    said[extra] = [done.exit_code, done.output]

def calls():
    from cmfd.content.hdf5 import hash_datasets
    from cmfd.dvc.files import read_yaml
    from cmfd.formats.columns import columns_of
    from cmfd.merge.index import connect_index
    from cmfd.merge.layout import open_site
    from cmfd.query.frames import converted
    from cmfd.query.site import Site

    yield "hdf5", lambda: hash_datasets("x.h5", ["/"])
    yield "hdf5", lambda: columns_of("x.h5")
    yield "tables", lambda: columns_of("x.csv")
    yield "tables", lambda: Site(sys.argv[2]).frame("runs")
    yield "cmf-compat", lambda: import_module("cmfd.compat.query")
    yield "dvc", lambda: read_yaml("dvc.yaml")
    yield "postgres", lambda: connect_index(open_site(Path(sys.argv[3])))
    yield "pandas", lambda: converted(None, "pandas")
    yield "polars", lambda: converted(None, "polars")

for extra, call in calls():
    try:
        call()
    except CmfdError as error:
        said[f"{extra} {len(said)}"] = [error.exit_code, str(error)]
print(json.dumps(said))
"""


@pytest.mark.slow
def test_what_to_install_is_said(tmp_path: Path) -> None:
    """In a sentence with an exit code, and of an extra that there is."""
    site = str(ASite(tmp_path / "site").take(a_run(1, loss=[1.0])).path)
    out = str(tmp_path / "out")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "site.toml").write_text('id = "x"\nindex = "postgresql://localhost/x"\n')
    at = ("--site", site)
    commands = {
        "openlineage": ("export", "openlineage", *at),
        "prov": ("export", "prov", *at),
        "ro-crate": ("export", "ro-crate", out, *at),
        "tables": ("export", "parquet", out, *at),
        "report": ("report", "energy", "--format", "html", *at),
        "serve": ("serve", *at),
        "postgres": ("site", "init", "--index", "postgresql://localhost/x", out),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(commands), site, str(elsewhere)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) == len(commands) + 9
    extras = msgspec.toml.decode(PROJECT.read_bytes())["project"]["optional-dependencies"]
    for name, (exit_code, text) in said.items():
        extra = name.split()[0]
        assert extra in extras
        assert exit_code not in (0, 1, 2), (name, text)
        assert f"pip install 'cmfd[{extra}]'" in text, (name, text)
    assert not Path(out).exists()


@pytest.mark.slow
def test_a_site_whose_index_is_a_file_needs_nothing_for_postgresql(tmp_path: Path) -> None:
    """Who asks for its grants is told that there are none, and not to install something."""
    site = str(ASite(tmp_path / "site").take(a_run(1, loss=[1.0])).path)
    code = (
        "import sys; sys.modules['psycopg'] = None; from cmfd.cli.main import main;"
        f" sys.argv = ['cmfd', 'site', 'grants', '--site', {site!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == ConfigError.exit_code
    assert f"The index of {site} is a file" in done.stderr
