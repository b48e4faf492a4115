"""
CMF's server: its ``/api/mlmd_push`` and ``/api/mlmd_pull``.

A push sends a pipeline as a whole, and the server leaves out what it has; of an execution that it
has, it takes nothing new. What its database cannot hold goes as text: else it would drop the
execution, and say that all is well.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from cmfd.errors import ConfigError, NotFoundError, RemoteError

_INT32 = range(-(1 << 31), 1 << 31)
_PATIENCE_S = 600.0
"""A server takes about 12 ms for each event that is new to it."""

_MOST_BYTES = 1 << 30
_NOTHING = ("", "null", "no_exec_uuid")


class Pushed(NamedTuple):
    """What became of a pipeline: `state` is ``success``, or ``exists`` if nothing was new."""

    pipeline: str
    n_executions: int
    state: str
    as_text: list[str]
    """Where there were values that the server cannot hold."""


def push(remote: str, pipeline: dict[str, Any]) -> Pushed:
    """
    Send a pipeline.

    Parameters
    ----------
    remote : str
        ``cmf+http://HOST[:PORT]``.
    pipeline : dict
        One of those in a document, as `cmfd.formats.cmf.document.write` makes it.

    Raises
    ------
    RemoteError
        The server is not there, or refused it.
    """
    as_text: list[str] = []
    sent = _narrowed(pipeline, "", as_text)
    payload = json.dumps({"Pipeline": [sent]})
    name = pipeline["name"]
    asked = {"exec_uuid": None, "json_payload": payload, "pipeline_name": name}
    answer = _ask(remote, "mlmd_push", asked)
    try:
        state = str(json.loads(answer)["status"])
    except (ValueError, KeyError, TypeError) as error:
        raise RemoteError(
            f"{remote} answered what CMF's server does not: {answer!r:.200}"
        ) from error
    if state not in ("success", "exists"):
        raise RemoteError(f"{remote} did not take {name}: {state}")
    n_executions = sum(len(stage["executions"]) for stage in pipeline["stages"])
    return Pushed(name, n_executions, state, as_text)


def pull(remote: str, pipeline: str | None) -> bytes:
    """
    Return a pipeline, or all there are, as CMF's JSON.

    Raises
    ------
    NotFoundError
        The server has no such pipeline.
    RemoteError
        The server is not there, or refused to give it.
    """
    asked = {"pipeline_name": pipeline, "exec_uuid": None}
    answer = _ask(remote, "mlmd_pull", asked)
    if answer.decode(errors="replace").strip('" \n') in _NOTHING:
        raise NotFoundError(
            f"{remote} has no pipeline {pipeline or 'at all'}; nothing was taken in"
        )
    return answer


def _ask(remote: str, what: str, document: dict[str, Any]) -> bytes:
    base = remote.removeprefix("cmf+").rstrip("/")
    if base.partition("://")[2] in ("", "/"):
        raise ConfigError(f"{remote} names no server: cmf+http://HOST[:PORT]")
    request = urllib.request.Request(  # noqa: S310 - of these schemes only
        f"{base}/api/{what}", json.dumps(document).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as reply:  # noqa: S310 - as above
            answer: bytes = reply.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        if error.code in (404, 406) and "Pipeline" in said:  # else there is no such address
            raise NotFoundError(f"{remote}: {said}; nothing was taken in") from error
        raise RemoteError(f"{remote} answered {error.code}: {said}") from error
    except (OSError, ValueError) as error:
        raise RemoteError(
            f"{remote} cannot be reached: {error}. Nothing was changed here; once it can, the same "
            "command does all of it"
        ) from error
    return answer


def _narrowed(value: Any, where: str, as_text: list[str]) -> Any:
    """Return a value as the server can hold it; note where it had to be changed."""
    if isinstance(value, list):
        return [_narrowed(one, where, as_text) for one in value]
    if not isinstance(value, dict):
        return value
    here = str(value.get("name") or where).partition(":")[0]
    return {
        key: _properties(one, here, as_text)
        if key.endswith("properties")
        else _narrowed(one, here, as_text)
        for key, one in value.items()
    }


def _properties(values: dict[str, Any], where: str, as_text: list[str]) -> dict[str, Any]:
    return {key: _property(one, f"{where}: {key}", as_text) for key, one in values.items()}


def _property(value: Any, where: str, as_text: list[str]) -> Any:
    if isinstance(value, (str, bool)) or (isinstance(value, int) and value in _INT32):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    as_text.append(where)
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)
