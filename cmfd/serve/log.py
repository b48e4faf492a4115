"""What a server says: one JSON document a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line; what came from elsewhere can end none."""
        at = datetime.fromtimestamp(record.created, tz=timezone.utc)
        told: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up(*, requests: bool) -> None:
    """
    Have everything that this process logs written in that way.

    Parameters
    ----------
    requests : bool
        Also each request.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name, level in (
        ("uvicorn", logging.WARNING),
        ("cmfd.serve", logging.INFO),
        ("cmfd.serve.access", logging.INFO if requests else logging.WARNING),
    ):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if name != "cmfd.serve.access":  # what it says goes up to its parent
            logger.handlers = [handler]
            logger.propagate = False
