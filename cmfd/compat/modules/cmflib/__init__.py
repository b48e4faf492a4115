"""
What programs know as CMF's library, recorded by cmfd.

Packages that are not here (``cmflib.contrib``) are taken from a `cmflib` further on in the path.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
