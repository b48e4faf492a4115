"""A DVC repository in git, worked on with real commands."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DVC = Path(sys.executable).with_name("dvc")


@dataclass
class Repo:
    """
    A repository.

    Parameters
    ----------
    path : Path
        Its directory; beside it lies what DVC notes of it.
    """

    path: Path

    @property
    def environ(self) -> dict[str, str]:
        """Variables that keep git and DVC from everything that is not the test's."""
        who = {
            f"GIT_{whose}_{what}": value
            for whose in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
        }
        home = self.path.parent
        own = {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "dvc-notes"),
            "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return {**who, **own}

    @classmethod
    def make(cls, path: Path) -> Repo:
        """Make one, with a git remote that has a password in its URL."""
        path.mkdir()
        made = cls(path)
        made.git("init", "-q", "-b", "main")
        made.git("remote", "add", "origin", "https://ada:geheim@example.org/hep/tracks.git")
        made.dvc("init")
        return made

    def run(self, *words: str | Path) -> str:
        """Run a command there."""
        environ = {**os.environ, **self.environ}
        done = subprocess.run(
            [*map(str, words)], cwd=self.path, env=environ, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def git(self, *words: str) -> str:
        """Run git."""
        return self.run("git", *words)

    def dvc(self, *words: str) -> str:
        """Run DVC."""
        return self.run(DVC, *words[:1], "-q", *words[1:])

    def commit(self) -> str:
        """Commit everything; returns the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "as it is")
        return self.git("rev-parse", "HEAD")
