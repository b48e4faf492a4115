"""To be imported before `cmflib`: that is this package's, then."""

from __future__ import annotations

import sys

from cmfd.compat import MODULES

if str(MODULES) not in sys.path:
    sys.path.insert(0, str(MODULES))
