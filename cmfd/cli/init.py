"""`cmfd init`: a site here, by the name that git gave such a thing."""

from __future__ import annotations

from copy import copy

from cmfd.cli.help import example
from cmfd.cli.site import init as of_site

command = example("cmfd init")(copy(of_site))
