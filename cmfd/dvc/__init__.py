"""
Data that DVC versions: its files read, its pipelines taken in, its commands run.

DVC itself is only ever another process. Its files are read with ruamel.yaml, which comes with it,
never in a rank's process: `cmfd.dvc.lookup` is a program of its own.
"""
