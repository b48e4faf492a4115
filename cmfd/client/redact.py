"""
Keep secrets out of what is recorded.

A secret is known by its name (``--db-password``, ``GITHUB_TOKEN``) or by its looks (an access
token's prefix, a private key, a password in a URL). A name is taken by its words, so that
``max_tokens`` and ``tokenizer`` stay readable. In doubt a value is masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "***"

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
_SECRET_WORDS = frozenset((
    "auth", "authorization", "bearer", "cookie", "cookies", "cred", "creds", "jwt", "keys", "pass",
    "passphrases", "passwords", "pat", "psk", "pw", "pwd", "secrets",
))  # fmt: skip
_SECRET_ENDINGS = (
    "key", "token", "secret", "password", "passwd", "passphrase", "credential", "credentials",
)  # fmt: skip

# All patterns take time in proportion to the text, for it is the interpreter's time: a match that
# fails must not be tried again from within.
_SECRET_VALUES = re.compile(
    r"""
      -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY
    | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}                    # a JSON web token
    | \bgh[oprsu]_\w{20,} | \bgithub_pat_\w{20,}           # GitHub
    | \bglpat-[\w-]{16,}                                   # GitLab
    | \bhf_\w{20,}                                         # Hugging Face
    | \bsk-[\w-]{16,} | \bsk_live_\w{16,}                  # OpenAI, Anthropic, Stripe
    | \bxox[abeprs]-[\w-]{10,}                             # Slack
    | \bA(?:KI|SI)A[0-9A-Z]{16}\b                          # Amazon
    | \bAIza[\w-]{30,}                                     # Google
    | \bMUNGE:[\w+/=]{16,}
    """,
    re.VERBOSE,
)
_URL_PASSWORD = re.compile(r"((?<![\w+.-])[\w+.-]+://[^\s/:@]*):[^\s/@]+@")
_HEADER = re.compile(r"(?i)((?:proxy-)?authorization|cookie)(\s*:\s*).+")
_NAMED = re.compile(
    r"""(?<![\w.-])([\w.-]+)(["']?\s*=\s*["']?|["']\s*:\s*["']?|:\s+["']?)([^\s"'&;,]+)"""
)
"""A named value in a text: ``name=value``, ``"name": "value"``, ``name: value``."""
_OPTION = re.compile(r"(?<!\S)(--?[\w-]+)(\s+)([^\s-]\S*)")
"""An option and its value in a text, as in a shell's ``-c``."""


def is_secret_name(name: str) -> bool:
    """
    Tell whether what goes by this name is probably a secret.

    Parameters
    ----------
    name : str
        Of a variable, option or key, in any style of writing.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words)


def is_secret_value(value: str) -> bool:
    """Tell whether a text holds what looks like a secret, whatever its name."""
    return scrub_text(value) != value


def scrub_argv(argv: Iterable[str]) -> list[str]:
    """
    Mask the secrets in a command line.

    Parameters
    ----------
    argv : iterable of str
        The program and its arguments.

    Returns
    -------
    list of str
        As many, with ``***`` in place of secrets: ``--password=***``, ``--token ***``.
    """
    scrubbed: list[str] = []
    masks_next = False
    for argument in argv:
        if masks_next and not argument.startswith("--"):
            scrubbed.append(MASK)
            masks_next = False
            continue
        name, equals, _ = argument.partition("=")
        named = is_secret_name(name) and not re.search(r"[\s/]", name)  # else it is no name
        masks_next = named and not equals and argument.startswith("-")
        scrubbed.append(f"{name}={MASK}" if named and equals else scrub_text(argument))
    return scrubbed


def scrub_text(text: str) -> str:
    """Mask what looks like a secret within a text."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _HEADER.sub(rf"\1\2{MASK}", text)
    text = _SECRET_VALUES.sub(MASK, text)
    return _OPTION.sub(_mask_named, _NAMED.sub(_mask_named, text))


def _mask_named(found: re.Match[str]) -> str:
    name, between, _value = found.groups()
    return f"{name}{between}{MASK}" if is_secret_name(name) else found[0]


def scrub_url(url: str) -> str:
    """
    Take user names, passwords and queries from a URL that is recorded to be found again.

    The user of an ``ssh://`` URL stays: without it (``git@``) it leads nowhere.
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url  # a path, or git@host:path, which cannot hold a password
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    kept = user.partition(":")[0] + at if "ssh" in scheme else ""
    return f"{scheme}://{kept}{host}{slash}{re.split('[?#]', path)[0]}"
