"""Secrets never reach a record."""

from __future__ import annotations

import pytest

from cmfd.client.redact import is_secret_name, is_secret_value, scrub_argv, scrub_url


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "DB_PASS", "SLURM_JWT", "apiKey",
        "--db-password", "CREDENTIALS", "SSH_AUTH_SOCK", "OPENAI_API_KEY", "my.secret", "authToken",
        "MYSQL_PWD", "-k8s-token",
    ],
)  # fmt: skip
def test_a_secret_is_known_by_a_word_of_its_name(name: str) -> None:
    """However the words are joined."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "--max-tokens", "author", "KEYBOARD",
        "compass", "bypass", "LD_LIBRARY_PATH", "SLURM_JOB_ID", "--epochs", "passage",
    ],
)  # fmt: skip
def test_a_hyperparameter_is_no_secret(name: str) -> None:
    """Words that only begin like a secret's name."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("argv", "scrubbed"),
    [
        (["train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["x", "--password=hunter2 too"], ["x", "--password=***"]),
        (["x", "--token", "t0p", "--lr", "1"], ["x", "--token", "***", "--lr", "1"]),
        (["x", "--token", "-t0p"], ["x", "--token", "***"]),
        (["x", "--auth", "--lr", "1"], ["x", "--auth", "--lr", "1"]),
        (["db.password=7", "model.depth=7"], ["db.password=***", "model.depth=7"]),
        (["-c", "export API_KEY=abc; x --token t0p"], ["-c", "export API_KEY=***; x --token ***"]),
        (["curl", "-HAuthorization: Bearer a b"], ["curl", "-HAuthorization: ***"]),
        (["http://h/p?sig=1&access_token=2&n=3"], ["http://h/p?sig=1&access_token=***&n=3"]),
        (["postgres://u:pw@h/db"], ["postgres://u:***@h/db"]),
        (['{"api_key": "abc", "n": 3}'], ['{"api_key": "***", "n": 3}']),
        (["key", "/data/keys/a"], ["key", "/data/keys/a"]),
        (["--token"], ["--token"]),
        ([], []),
    ],
)
def test_secrets_in_a_command_line_are_masked(argv: list[str], scrubbed: list[str]) -> None:
    """And nothing else is; the number of arguments stays."""
    assert scrub_argv(argv) == scrubbed


@pytest.mark.parametrize(
    "value",
    [
        "ghp_" + "a1" * 18,
        "sk-" + "a1" * 12,
        "AKIA" + "ABCD1234" * 2,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
        "host=db password=hunter2",
        "redis://:hunter2@h:6379",
    ],
)
def test_a_secret_is_known_by_its_looks(value: str) -> None:
    """Under whatever name; masking leaves nothing of it."""
    assert is_secret_value(value)
    assert value not in "".join(scrub_argv(["x", value]))


@pytest.mark.parametrize("value", ["/opt/key:/usr/bin", "cores", "a=b", "16", "https://h/p"])
def test_ordinary_values_are_no_secrets(value: str) -> None:
    """A search path through a directory called key, say."""
    assert not is_secret_value(value)


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://alice:t0p@h/p.git", "https://h/p.git"),
        ("https://t0p@h/p.git?access_token=1#x", "https://h/p.git"),
        ("ssh://git:pw@h:22/p.git", "ssh://git@h:22/p.git"),
        ("git@h:p.git", "git@h:p.git"),
        ("/srv/git/p@1.git", "/srv/git/p@1.git"),
        ("file:///srv/p@1.git", "file:///srv/p@1.git"),
    ],
)
def test_a_remote_is_recorded_without_credentials(url: str, scrubbed: str) -> None:
    """But so that it can be found again."""
    assert scrub_url(url) == scrubbed
