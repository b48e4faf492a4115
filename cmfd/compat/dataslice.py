"""Named parts of datasets, as CMF keeps them: Parquet files of paths and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.content.files import hash_path
from cmfd.model import ArtifactKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from cmfd.compat.nodes import Artifact
    from cmfd.compat.writer import Cmf


class DataSlice:
    """A part of a dataset; `Cmf.create_dataslice` makes it."""

    def __init__(self, name: str, writer: Cmf) -> None:
        self.name = name
        self.writer = writer
        self.props: dict[str, dict[str, Any]] = {}

    def add_data(self, path: str, custom_properties: Mapping[str, Any] | None = None) -> None:
        """Add a file; what it holds is read now."""
        digest = hash_path(path).digest.removeprefix("md5:")
        self.props[path] = {"hash": digest, **(custom_properties or {})}

    def commit(self, custom_properties: Mapping[str, Any] | None = None) -> None:
        """Write the slice into its file, and record that as an output."""
        import pandas as pd  # noqa: PLC0415 - only for those who write files

        writer = self.writer
        path = writer._own_file(writer.DATASLICE_PATH, self.name)  # noqa: SLF001 - its other half
        table = pd.DataFrame.from_dict(self.props, orient="index")
        table.index.names = ["Path"]
        table.to_parquet(path)
        kind = ArtifactKind.DATASLICE
        writer._content(path, "output", kind, "Dataslice", custom_properties)  # noqa: SLF001 - as above

    def log_dataslice_from_client(
        self,
        uri: str,
        props: Mapping[str, Any] | None = None,
        custom_properties: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Record the slice as an output without its file, of which `uri` is the MD5."""
        path = self.name.partition(f":{uri}")[0]
        return self.writer.known("Dataslice", path, uri, "output", props, custom_properties)


def read_slice(path: str) -> pd.DataFrame:
    """Return the members of a slice."""
    import pandas as pd  # noqa: PLC0415 - as above

    return pd.read_parquet(path)


def update_slice(path: str, record: str, custom_properties: Mapping[str, Any]) -> None:
    """Say more of a member of a slice; what was recorded of the slice stays as it was."""
    import pandas as pd  # noqa: PLC0415 - as above

    members = pd.read_parquet(path).to_dict("index")
    members[record].update(custom_properties)
    table = pd.DataFrame.from_dict(members, orient="index")
    table.index.names = ["Path"]
    table.to_parquet(path)
