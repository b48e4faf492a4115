"""
cmfd: lineage, parameters, metrics and cost of batch jobs, from the ranks to the site.

>>> import cmfd
>>> with cmfd.start(pipeline="heat", stage="solve") as ex:  # doctest: +SKIP
...     ex.params(nx=4096, dt=1e-4)
...     for i in range(1000):
...         ex.metric("residual", 1.0 / (i + 1), step=i)

The functions of this module log to the current execution, the one started
last in this process; if there is none, they start one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

__version__ = "0.1.0"

# Later, it would take the name of the function `model`.
import cmfd.model  # noqa: F401 - see above

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from cmfd.client.execution import Execution
    from cmfd.client.start import current, start

__all__ = [
    "Execution", "current", "flush", "input", "metric", "metrics", "model", "output", "param",
    "params", "start", "tag",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what logs when it is first asked for: commands that log nothing need none of it."""
    if name not in {"Execution", "current", "start"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cmfd.client.execution import Execution  # noqa: PLC0415 - see above
    from cmfd.client.start import current, start  # noqa: PLC0415 - as above

    globals().update(Execution=Execution, current=current, start=start, _current=current)
    return globals()[name]


def _current() -> Execution:
    """Return the current execution; from then on, `current` has this name."""
    found: Execution = __getattr__("current")()
    return found


def metric(
    name: str,
    value: SupportsFloat,
    step: SupportsIndex | None = None,
    *,
    slice: Any = None,  # noqa: A002 - the word of the model
) -> None:
    """Log one value of a metric to the current execution; see `Execution.metric`."""
    _current().metric(name, value, step, slice=slice)


def metrics(values: Mapping[str, SupportsFloat], step: SupportsIndex | None = None) -> None:
    """Log several metrics to the current execution; see `Execution.metrics`."""
    _current().metrics(values, step)


def param(key: str, value: Any) -> None:
    """Record a parameter of the current execution; see `Execution.param`."""
    _current().param(key, value)


def params(values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Record several parameters of the current execution; see `Execution.params`."""
    _current().params(values, **more)


def tag(key: str, value: Any = True) -> None:  # noqa: FBT002 - a bare tag is a true one
    """Set a tag of the current execution; see `Execution.tag`."""
    _current().tag(key, value)


def input(path: str | os.PathLike[str], kind: str = "dataset", **properties: Any) -> str:  # noqa: A001 - the word of the model; used as cmfd.input
    """Record that the current execution reads a file or directory; see `Execution.input`."""
    return _current().input(path, kind, **properties)


def output(path: str | os.PathLike[str], kind: str = "dataset", **properties: Any) -> str:
    """Record that the current execution wrote a file or directory; see `Execution.output`."""
    return _current().output(path, kind, **properties)


def model(path: str | os.PathLike[str], **properties: Any) -> str:
    """Record that the current execution wrote a model; see `Execution.model`."""
    return _current().model(path, **properties)


def flush(timeout_s: float = 5.0) -> bool:
    """Wait until the daemon has committed what was logged; tell whether it has."""
    return _current().flush(timeout_s)
