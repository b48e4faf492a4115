"""`python -m cmfd` is `cmfd`."""

from __future__ import annotations

from cmfd.cli.main import main

main()
