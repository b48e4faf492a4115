"""cmfd: lineage, parameters, metrics and cost of batch jobs, from the ranks to the site."""

__version__ = "0.1.0"
