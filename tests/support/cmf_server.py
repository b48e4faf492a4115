"""
A stand-in for CMF's server: what its push and pull do with JSON, over real HTTP.

It merges by the UUIDs of executions, refuses those that have none, silently drops an execution with
an integer that its database has no room for, and tells the time of the merge for that of making. It
calls an execution's type as its stage is called, and merges one that has a name each time it comes.
That the server itself is so, is tested where there is one (`support.cmf_installed`).
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MERGED_MS = 1_795_999_999_000


@dataclass
class Server:
    """What it holds, and where it is."""

    url: str = ""
    pipelines: dict[str, Any] = field(default_factory=dict)

    def push(self, asked: Any) -> tuple[int, str]:
        """Do as ``/api/mlmd_push``."""
        (sent,) = json.loads(asked["json_payload"])["Pipeline"]
        executions = [one for stage in sent["stages"] for one in stage["executions"]]
        if not all(one["properties"].get("Execution_uuid") for one in executions):
            return 422, json.dumps({"detail": "version_update"})
        there = self.pipelines.setdefault(sent["name"], {**sent, "stages": []})
        n_new = sum(
            self._take(there, stage, one) for stage in sent["stages"] for one in stage["executions"]
        )
        return 200, json.dumps({"status": "success" if n_new else "exists"})

    def _take(self, pipeline: Any, stage: Any, execution: Any) -> bool:
        known = {one["name"]: one for one in pipeline["stages"]}
        mine = known.get(stage["name"])
        if mine is None:
            mine = {**stage, "executions": []}
            pipeline["stages"].append(mine)
        uuid = execution["properties"]["Execution_uuid"]
        there = [one for one in mine["executions"] if one["properties"]["Execution_uuid"] == uuid]
        if there and not execution["name"]:
            return False
        nodes = [execution, *(event["artifact"] for event in execution["events"])]
        values = [value for node in nodes for value in node["custom_properties"].values()]
        if not any(type(value) is int and abs(value) >= 1 << 31 for value in values):
            made = str(execution["create_time_since_epoch"])
            custom = {
                **execution["custom_properties"], "original_create_time_since_epoch": made
            }  # fmt: skip
            times = dict.fromkeys(
                ("create_time_since_epoch", "last_update_time_since_epoch"), MERGED_MS
            )
            mine["executions"] = [one for one in mine["executions"] if one not in there]
            merged = {**times, "type": stage["name"], "custom_properties": custom}
            mine["executions"].append({**execution, **merged})
        return True

    def pull(self, asked: Any) -> tuple[int, str]:
        """Do as ``/api/mlmd_pull``."""
        name = asked["pipeline_name"]
        if name is not None and name not in self.pipelines:
            return 404, json.dumps({"detail": f"Pipeline {name} not found."})
        chosen = [one for key, one in self.pipelines.items() if name in (None, key)]
        return 200, json.dumps({"Pipeline": chosen})


@contextmanager
def serving() -> Iterator[Server]:
    """Have such a server while the block runs."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            does = {"/api/mlmd_push": server.push, "/api/mlmd_pull": server.pull}.get(self.path)
            code, text = does(asked) if does else (404, "{}")
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        server.url = f"cmf+http://127.0.0.1:{http.server_port}"
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
