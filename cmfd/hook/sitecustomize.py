"""
Stands in front of a Python program under `cmfd run --auto-io`; see `cmfd_auto_io` beside it.

Python runs it because its directory is the first in PYTHONPATH. It leaves no trace there, and lets
the `sitecustomize` run that would have run without it. (Of any Python: this must parse in all.)
"""

import os
import sys


def _stand_aside():  # type: ignore[no-untyped-def] # noqa: ANN202 - as above
    own = sys.modules[__name__]
    here = __file__.rpartition("/")[0]
    if os.environ.get("CMFD_AUTO_IO") and sys.version_info >= (3, 8):
        try:
            import cmfd_auto_io  # type: ignore[import-not-found] # noqa: PLC0415 - it is here

            cmfd_auto_io.install()
        except Exception:  # noqa: BLE001, S110 - the program runs, and is not watched
            pass
    sys.path[:] = [path for path in sys.path if path != here]
    del sys.modules[__name__]
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401, PLC0415 - another
    except ImportError as error:
        if getattr(error, "name", __name__) != __name__:
            raise
    finally:
        sys.modules.setdefault(__name__, own)


_stand_aside()  # type: ignore[no-untyped-call]
