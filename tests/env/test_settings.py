"""Settings: their layers, their checks and their description."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmfd import config
from cmfd.errors import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory; the system's file is in it as well."""
    monkeypatch.setattr(config, "SYSTEM_FILE", tmp_path / "system.toml")
    (tmp_path / ".config" / "cmfd").mkdir(parents=True)
    return tmp_path


def test_without_files_and_variables_every_setting_has_its_default(home: Path) -> None:
    """Node directory and journals are per user, on the node's own disk."""
    settings = config.load({"HOME": str(home)})
    assert settings == config.Settings()
    assert settings.node_dir == Path(f"/var/tmp/cmfd-{os.getuid()}")
    assert settings.journal_dir == settings.node_dir / "journals"


def test_each_layer_overrides_the_ones_before_it(home: Path) -> None:
    """System, user, CMFD_CONFIG, variables, in this order; keys not set stay."""
    (home / "system.toml").write_text("idle_s = 1\nseal_grace_s = 1\nflush_interval_s = 1\n")
    user = home / ".config" / "cmfd" / "cmfd.toml"
    user.write_text("seal_grace_s = 2\nflush_interval_s = 2\nretention_s = 2\n")
    own = home / "own.toml"
    own.write_text("flush_interval_s = 3\nretention_s = 3\ncommit_interval_s = 3\n")
    environ = {"HOME": str(home), "CMFD_CONFIG": str(own), "CMFD_RETENTION_S": "4"}
    settings = config.load(environ)
    assert settings.idle_s == 1
    assert settings.seal_grace_s == 2
    assert settings.flush_interval_s == settings.commit_interval_s == 3
    assert settings.retention_s == 4


def test_the_users_file_follows_the_xdg_variable(home: Path) -> None:
    """A relative XDG_CONFIG_HOME is ignored, as its specification says."""
    (home / "cmfd").mkdir()
    (home / "cmfd" / "cmfd.toml").write_text("strict = true\n")
    assert config.load({"XDG_CONFIG_HOME": str(home)}).strict
    assert not config.load({"XDG_CONFIG_HOME": "elsewhere"}).strict


def test_variables_are_read_as_the_type_of_their_setting(home: Path) -> None:
    """Truth values, numbers, paths below the home and lists of patterns."""
    settings = config.load(
        {
            "CMFD_STRICT": "1",
            "CMFD_AUTOSTART": "false",
            "CMFD_BLOCK_BYTES": "131072",
            "CMFD_NODE_DIR": "~/cmfd",
            "CMFD_ENV_ALLOW": "OMP_*, MY_VAR",
        }
    )
    assert settings.strict
    assert not settings.autostart
    assert settings.block_bytes == 131072
    assert settings.node_dir == Path.home() / "cmfd"
    assert settings.journal_dir == Path.home() / "cmfd" / "journals"
    assert settings.env_allow == ("OMP_*", "MY_VAR")
    assert home.exists()


def test_what_a_run_hands_down_is_no_setting_and_no_error() -> None:
    """CMFD_RUN and its like, known or not, empty or not, leave the settings alone."""
    environ = {"CMFD_RUN": "00", "CMFD_NEW_THING": "x", "CMFD_STRICT": ""}
    assert config.load(environ) == config.Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stict = true", "stict in {file} is no setting of cmfd"),
        ("strict = 3", "strict in {file} is 3: Expected `bool`, got `int`"),
        ("block_bytes = 100000", "block_bytes in {file} is 100000: Expected `int` that's"),
        ("idle_s = -1", "idle_s in {file} is -1: Expected `float` >= 0"),
        ("node_dir = 'here'", "node_dir in {file} is 'here': expected an absolute path"),
        ("node_dir = 3", "node_dir in {file} is 3: expected path as text"),
        ("env_allow = 'PATH'", "env_allow in {file} is 'PATH': Expected `array`"),
        ("strict =", "{file} is no valid TOML"),
        ("[node]\nidle_s = 1", "node in {file} is no setting"),
    ],
)  # fmt: skip
def test_an_unusable_file_names_file_key_and_what_was_expected(
    tmp_path: Path, text: str, expected: str
) -> None:
    """A typo in a site-wide file must be found at once, by its message alone."""
    file = tmp_path / "cmfd.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load({"CMFD_CONFIG": str(file)})
    assert str(caught.value).startswith(expected.format(file=file))


def test_an_unusable_variable_is_named() -> None:
    """The variable, its value and the bound."""
    with pytest.raises(ConfigError, match=r"^CMFD_COMMIT_INTERVAL_S is '0': Expected `float` > 0"):
        config.load({"CMFD_COMMIT_INTERVAL_S": "0"})


def test_what_is_wrong_does_not_undo_the_rest(tmp_path: Path) -> None:
    """A process that must go on keeps to its node directory whatever else is misspelt."""
    file = tmp_path / "cmfd.toml"
    file.write_text("idle_s = 7\nstict = true")
    environ = {"CMFD_CONFIG": str(file), "CMFD_NODE_DIR": str(tmp_path), "CMFD_BLOCK_BYTES": "x"}

    settings, wrong = config.load_usable(environ)

    assert settings == config.Settings(node_dir=tmp_path, idle_s=7)
    assert [str(error).split()[0] for error in wrong] == ["stict", "CMFD_BLOCK_BYTES"]


def test_the_home_of_nobody_is_no_directory() -> None:
    """In a container a user may have none."""
    with pytest.raises(ConfigError, match=r"^CMFD_NODE_DIR is '~nobody-here/x': expected an abs"):
        config.load({"CMFD_NODE_DIR": "~nobody-here/x"})


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    """Others may be missing, the one in CMFD_CONFIG may not."""
    with pytest.raises(ConfigError, match="which does not exist"):
        config.load({"CMFD_CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A directory in a file's place is not taken for an empty file."""
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load({"CMFD_CONFIG": str(tmp_path)})


def test_every_setting_describes_itself() -> None:
    """The reference documents are made from this: no field may lack a meaning."""
    described = config.describe_settings()
    assert [row.key for row in described] == list(config.Settings.__struct_fields__)
    assert all(row.meaning.endswith(".") and row.default and row.type for row in described)
    by_key = {row.key: row for row in described}
    assert by_key["block_bytes"] == (
        "block_bytes",
        "CMFD_BLOCK_BYTES",
        "integer, >= 65536, <= 67108864, multiple of 4096",
        "262144",
        "Size of a journal's blocks.",
    )
