"""`cmfd verify`: is all well with a site? Short for `cmfd site verify`."""

from __future__ import annotations

from copy import copy

from cmfd.cli.help import example
from cmfd.cli.site import verify as of_site

command = example("cmfd verify --deep")(copy(of_site))
