"""The OpenAPI document of a server, from its table of operations and the types of the bodies."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd import __version__
from cmfd.serve.answers import JSON
from cmfd.serve.operations import OPERATIONS, Operation
from cmfd.sync.peer import Entry
from cmfd.sync.resources import PLACE, SIGNATURE_HEADER, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = "/openapi.json"

_ALWAYS = {400: "It cannot be understood.", 429: "Too much was asked; Retry-After says when again."}
_WITH_TOKEN = {401: "There is no token, or it is none of the site's.", 403: "The token may not."}
_WITH_BODY = {
    408: "The body came too slowly.",
    413: "The body is too long.",
    422: "The body is not what it must be.",
}
_OF = {
    "health": {503: "The site cannot be read."},
    "read": {404: "There is none.", 416: "There are no such bytes."},
    "incoming": {404: "That is no name of a pack."},
    "write": {
        409: "It must come from another byte on: `offset`.",
        411: "Its size was not told.",
    },
}
_PARTS = "multipart/byteranges"
"""An answer to who asks for several ranges of bytes."""

_TEXT = frozenset((400, 416))
"""Of these, some are answered by what is below cmfd, in plain text."""


def document() -> dict[str, Any]:
    """Return the document."""
    schemas, components = msgspec.json.schema_components(
        [kind for kind in _types() if kind is not bytes], ref_template="#/components/schemas/{name}"
    )
    of_type = dict(zip((str(kind) for kind in _types() if kind is not bytes), schemas, strict=True))
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, of_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cmfd serve",
            "version": __version__,
            "description": "A site of cmfd: packs are exchanged with it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types() -> Iterable[Any]:
    kinds: dict[str, Any] = {str(kind): kind for kind in (Trouble, Entry)}
    for one in OPERATIONS:
        found = [told[0] for told in one.answers.values() if told is not None]
        kinds.update({str(kind): kind for kind in (*found, one.body) if kind is not None})
    return kinds.values()


def _operation(one: Operation, of_type: dict[str, Any]) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(one.handler.__doc__ or "").partition("\n\n")
    told: dict[str, Any] = {
        "operationId": one.name,
        "summary": summary,
        "responses": _responses(one, of_type),
    }
    if description:
        told["description"] = " ".join(description.split())
    if parameters := list(_parameters(one)):
        told["parameters"] = parameters
    if one.body is not None:
        told["requestBody"] = {"required": True, "content": _content(one.body, of_type)}
    if one.scopes is not None:
        told["security"] = [{"token": []}]
        scopes = " or ".join(f"`{scope}`" for scope in sorted(one.scopes))
        told["description"] = f"{told.get('description', '')} The token needs {scopes}.".strip()
    return told


def _responses(one: Operation, of_type: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, told in one.answers.items():
        answers[str(status)] = {"description": "It was done."}
        if told is not None:
            kind, media = told
            content = _content(kind, of_type, media)
            if status == 206:
                content[_PARTS] = {}
            answers[str(status)] = {"description": "What was asked for.", "content": content}
    refusals = {
        **_ALWAYS,
        **(_WITH_TOKEN if one.scopes is not None else {}),
        **(_WITH_BODY if one.body is not None else {}),
        **_OF.get(one.name, {}),
        503: "The site cannot be used now.",
    }
    for status, description in sorted(refusals.items()):
        content = _content(Trouble, of_type)
        if status in _TEXT:
            content["text/plain"] = {"schema": {"type": "string"}}
        answers[str(status)] = {"description": description, "content": content}
    return answers


def _content(kind: Any, of_type: dict[str, Any], media: str = JSON) -> dict[str, Any]:
    if kind is bytes:
        return {"application/octet-stream" if media == JSON else media: {}}
    return {media.partition(";")[0]: {"schema": of_type[str(kind)]}}


def _parameters(one: Operation) -> Iterable[dict[str, Any]]:
    if "{digest}" in one.path:
        schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
        told = "A pack's sha256."
        yield {
            "name": "digest", "in": "path", "required": True, "schema": schema, "description": told
        }  # fmt: skip
    text = {"type": "string"}
    if one.name == "read":
        yield {
            "name": "Range", "in": "header", "schema": text, "description": "Only these bytes."
        }  # fmt: skip
    if one.name == "write":
        told = "`bytes FIRST-LAST/SIZE`: the body is the rest of the pack, from FIRST on."
        schema = {**text, "pattern": "^bytes [0-9]{1,18}-[0-9]{1,18}/[0-9]{1,18}$"}
        yield {"name": "Content-Range", "in": "header", "schema": schema, "description": told}
        told = "Of who vouches for it, in base64."
        yield {"name": SIGNATURE_HEADER, "in": "header", "schema": text, "description": told}
    if one.name == "write_many":
        told = "Also merge what waits."
        choice: dict[str, Any] = {**text, "enum": ["true", "false"], "default": "false"}
        yield {"name": "merge", "in": "query", "schema": choice, "description": told}
        told = "Also tell how many packs had come after this place: NUMBER-DIGEST-NANOSECONDS."
        schema = {**text, "pattern": PLACE}
        yield {"name": "place", "in": "query", "schema": schema, "description": told}
