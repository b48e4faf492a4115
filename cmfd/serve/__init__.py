"""A site over HTTP: `cmfd serve`."""
