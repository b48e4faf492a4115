"""An export as CMF writes it: two stages, four kinds of artifacts, a late label."""

from __future__ import annotations

from typing import Any

DATA, TRAIN, MODEL = "1d" * 16, "95" * 16, "f0" * 16
METRICS = "ab7993c0-e67f-11f1-a35c-02fc00000001"
PREPARE_UUID, TRAIN_UUID = (
    "97636a0a-e67f-11f1-b54e-02fc00000001", "a9459c02-e67f-11f1-a35c-02fc00000001"
)  # fmt: skip
BEGAN_MS = 1_795_357_110_000


def node(kind: str, number: int, at_ms: int, **more: Any) -> dict[str, Any]:
    """Return what CMF says of anything."""
    return {
        "type": kind, "id": number, "type_id": 10 + number, "create_time_since_epoch": at_ms,
        "last_update_time_since_epoch": at_ms, "properties": {}, "custom_properties": {}, **more,
    }  # fmt: skip


def artifact(kind: str, number: int, path: str, uri: str, **custom: Any) -> dict[str, Any]:
    """Return an artifact, as it is in each of its events."""
    return node(
        kind, number, BEGAN_MS + number, name=f"{path}:{uri}", uri=uri, custom_properties=custom,
        properties={"Commit": uri, "url": f"Tracks:/store/files/md5/{uri[:2]}/{uri[2:]}"},
    )  # fmt: skip


def execution(
    number: int, stage: str, uuid: str, params: dict[str, Any], events: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return an execution."""
    began_ms = BEGAN_MS + 1000 * number
    return node(
        stage, number, began_ms, name="", last_update_time_since_epoch=began_ms + 5000,
        custom_properties=params, events=events,
        properties={
            "Execution_uuid": uuid, "Execution": f"['src/{stage.lower()}.py', 'data']",
            "Execution_type_name": f"Tracks/{stage}", "Context_Type": f"Tracks/{stage}",
            "Context_ID": number + 1, "Pipeline_Type": "Tracks", "Pipeline_id": 1,
            "Git_Repo": "https://example.org/tracks.git", "Git_Start_Commit": "68" * 20,
            "Git_End_Commit": "2a" * 20,
        },
    )  # fmt: skip


def document() -> dict[str, Any]:
    """Return the export."""
    train = artifact("Dataset", 2, "out/train.tsv", TRAIN)
    prepare = execution(
        1, "Prepare", PREPARE_UUID, {"split": "0.2", "seed": 20170428, "rate": 0.1 + 0.2},
        [
            {"type": 3, "artifact": artifact("Dataset", 1, "data.xml.gz", DATA, source="lhc")},
            {"type": 4, "artifact": train},
        ],
    )  # fmt: skip
    metrics = artifact("Metrics", 4, "scores", METRICS, auc=0.87425192807, loss=float("nan"), n=7)
    metrics["name"] += ":2"
    training = execution(
        2, "Train", TRAIN_UUID, {"n_est": 2**63, "user_type": "x"},
        [
            {"type": 3, "artifact": train},
            {"type": 4, "artifact": artifact("Model", 3, "model.pkl", MODEL)},
            {"type": 4, "artifact": metrics},
        ],
    )  # fmt: skip
    stages = [
        node(
            "Pipeline_Stage", number + 1, BEGAN_MS, name=f"Tracks/{stage}", executions=executions,
            properties={"Pipeline_Stage": f"Tracks/{stage}"}, custom_properties={"owner": "ada"},
        )
        for number, (stage, executions) in enumerate(
            {"Prepare": [prepare], "Train": [training]}.items(), 1
        )
    ]  # fmt: skip
    properties = {"Pipeline": "Tracks"}
    pipeline = node(
        "Parent_Context", 1, BEGAN_MS, name="Tracks", properties=properties, stages=stages
    )
    return {"Pipeline": [pipeline]}
