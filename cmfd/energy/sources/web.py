"""Asking the web service of a node's controller, and nothing else."""

from __future__ import annotations

import base64
import json
import ssl
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cmfd.energy.sources.slow import Unanswered

_TIMEOUT_S = 5.0
_MOST_BYTES = 1 << 20

_REACH = (
    "See whether it can be reached from here. A service of systemd may use the network only if its"
    " unit says so: systemctl edit cmfd, RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6."
)


class Service:
    """
    A controller's web service.

    Parameters
    ----------
    url : str
        Where it is.
    credentials : str
        A file that says ``user:password``; empty: none is said.
    authority : str
        A file with the certificate to trust; empty: those that the system trusts.
    """

    def __init__(self, url: str, credentials: str, authority: str) -> None:
        self._url = url
        self._credentials = credentials
        self._authority = authority
        self._headers: dict[str, str] | None = None

    def get(self, path: str) -> dict[str, Any]:
        """
        Return the document that lies under a path.

        Raises
        ------
        Unanswered
            There is none, or it cannot be had.
        """
        parts = urlsplit(self._url)
        request = urllib.request.Request(  # noqa: S310 - `_opener` knows http and https only
            f"{parts.scheme}://{parts.netloc}{path}", headers=self._authorised()
        )
        try:
            with self._opener(parts.scheme).open(request, timeout=_TIMEOUT_S) as answer:
                found = json.loads(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                reason = f"{parts.netloc} refuses the user and password ({error.code})"
                advice = "Correct the file that energy_redfish_credentials names."
                raise Unanswered("denied", reason, advice) from None
            raise Unanswered("broken", f"{parts.netloc}{path}: HTTP {error.code}") from None
        except OSError as error:
            raise Unanswered("broken", f"{parts.netloc}: {error}", _REACH) from None
        except ValueError as error:
            raise Unanswered("broken", f"{parts.netloc}: {error}") from None
        return found if isinstance(found, dict) else {}

    def _opener(self, scheme: str) -> urllib.request.OpenerDirector:
        """Return what asks this service alone: no proxy, no other scheme, no redirection."""
        opener = urllib.request.OpenerDirector()
        if scheme == "https":
            opener.add_handler(urllib.request.HTTPSHandler(context=self._trust()))
        else:
            opener.add_handler(urllib.request.HTTPHandler())
        opener.add_handler(urllib.request.HTTPErrorProcessor())
        opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
        opener.add_handler(urllib.request.UnknownHandler())
        return opener

    def _trust(self) -> ssl.SSLContext:
        """Trust the certificate that was named, whatever host it is for, else the system's."""
        if not self._authority:
            return ssl.create_default_context()
        context = ssl.create_default_context(cafile=Path(self._authority).expanduser())
        context.check_hostname = False  # controllers come with certificates for no host
        return context

    def _authorised(self) -> dict[str, str]:
        """Return the headers, with the user and password that a file of this user says."""
        if self._headers is None:
            self._headers = {"Accept": "application/json"}
            if self._credentials:
                said = base64.b64encode(_secret(Path(self._credentials).expanduser())).decode()
                self._headers["Authorization"] = f"Basic {said}"
        return self._headers


def _secret(path: Path) -> bytes:
    """Return a file's line; it must be for its owner's eyes alone."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise Unanswered("broken", f"{path} can be read by others", f"chmod 600 {path}")
        return path.read_bytes().strip()
    except OSError as error:
        raise Unanswered("broken", f"{path} cannot be read: {error.strerror}") from None
