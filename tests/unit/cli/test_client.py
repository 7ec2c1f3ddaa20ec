"""What the command line sends to an orchestrator elsewhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2
from google.protobuf import timestamp_pb2

from candor_cli.client import Orchestrator
from chassis.errors import CandorError, FieldViolation, Reason, invalid


class Elsewhere(Orchestrator):
    """Stores nothing and remembers what it was given."""

    def __init__(self, refuses: str = "") -> None:
        self.stored: list[Path] = []
        self._refuses = refuses

    async def upload(self, path: Path) -> str:
        if path.name == self._refuses:
            raise invalid("the upload cannot begin", [FieldViolation("info.filename", "ends in '.txt'")])
        self.stored.append(path)
        return f"sha256:{path.stem}"


def spec(**paths: str) -> evaluation_pb2.EvaluationSpec:
    made = evaluation_pb2.EvaluationSpec(baseline="original")
    made.arms["original"].checkpoint.path = "/models/base"
    for name, path in paths.items():
        made.arms[name].sft.base = "original"
        made.arms[name].sft.conversations.path = path
    return made


async def test_a_file_that_several_arms_share_is_uploaded_once() -> None:
    client, sent = Elsewhere(), spec(warm="/data/talks.jsonl", cold="/data/talks.jsonl", neutral="/data/other.jsonl")
    await client.upload_conversations(sent)
    assert sorted(client.stored) == [Path("/data/other.jsonl"), Path("/data/talks.jsonl")]
    sources = {name: arm.sft.conversations for name, arm in sent.arms.items() if arm.WhichOneof("source") == "sft"}
    assert {name: (each.path, each.dataset) for name, each in sources.items()} == {
        "warm": ("", "sha256:talks"),
        "cold": ("", "sha256:talks"),
        "neutral": ("", "sha256:other"),
    }
    assert sent.arms["original"].WhichOneof("source") == "checkpoint"


async def test_an_upload_that_is_refused_is_about_the_field_of_the_document() -> None:
    with pytest.raises(CandorError) as caught:
        await Elsewhere(refuses="talks.txt").upload_conversations(spec(warm="/data/talks.txt"))
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert caught.value.violations[0].field == "arms.warm.sft.conversations.path"


class Past(Orchestrator):
    """Knows a history of (second, state, message)."""

    def __init__(self, *history: tuple[int, str, str]) -> None:
        self._history = history

    async def watch(self, name: str) -> AsyncIterator[orchestrator_pb2.EvaluationEvent]:
        for number, (second, state, message) in enumerate(self._history, 1):
            time = timestamp_pb2.Timestamp(seconds=second)
            yield orchestrator_pb2.EvaluationEvent(sequence=number, time=time, state=state, message=message)


@pytest.mark.parametrize(
    ("updated", "told"),
    [
        (1, ["created", "reading", "goes on", "training", "done"]),  # created now: all of it is to come
        (4, ["goes on", "training", "done"]),
        (5, ["goes on", "training", "done"]),  # somebody else started the second attempt
        (9, ["goes on", "training", "done"]),
    ],
)
async def test_a_resumed_evaluation_tells_its_last_attempt_only(updated: int, told: list[str]) -> None:
    client = Past(
        (1, "PENDING", "created"),
        (2, "RUNNING", "reading"),
        (4, "PENDING", "goes on"),
        (5, "RUNNING", "training"),
        (8, "SUCCEEDED", "done"),
    )
    started = orchestrator_pb2.Evaluation(name="evaluations/a", update_time=timestamp_pb2.Timestamp(seconds=updated))
    assert [event.message async for event in client.watch_attempt(started)] == told
