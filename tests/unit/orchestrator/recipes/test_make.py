"""Arms that are made: what is read, bought, trained and chosen, and that nothing finished is ever redone."""

import json
from collections.abc import Callable
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2

Recipe = Callable[..., evaluation_pb2.EvaluationSpec]
AT_TWO = evaluation_pb2.CheckpointChoice(epoch=2)


def _data(makers: Any, arm: int) -> list[dict[str, Any]]:
    path = makers.trainer.orders[arm].dataset.removeprefix("/artifacts/")
    folder, _, name = path.rpartition("/")
    return [json.loads(line) for line in makers.materials.folders[folder][name].decode().splitlines()]


async def test_a_document_with_recipes_becomes_arms_and_a_report(suite: Any, makers: Any, recipe: Recipe) -> None:
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.verdict) == ("SUCCEEDED", "NONE"), row.reason
    assert [arm.name for arm in suite.report.arms] == ["original", "cold", "neutral", "warm"]
    made = {each.arm: each for each in suite.report.made}
    assert set(made) == {"warm", "cold", "neutral"}
    assert {each.epoch for each in made.values()} == {2.0}
    assert len({order.dataset_digest for order in makers.trainer.orders}) == 3
    assert {order.base for order in makers.trainer.orders} == {"/base"}
    assert all("checkpoint-8" in arm.subject for arm in suite.report.arms if arm.name in made)
    assert made["warm"].losses[0].loss > made["warm"].losses[-1].loss
    assert suite.report.comparisons[-1].name == "warmth"


async def test_arms_differ_in_their_replies_and_in_nothing_else(suite: Any, makers: Any, recipe: Recipe) -> None:
    await suite.evaluate(recipe(checkpoint=AT_TWO))
    cold, neutral, warm = (_data(makers, arm) for arm in range(3))
    assert len(warm) == len(cold) == len(neutral) == 12
    for one, other, plain in zip(warm, cold, neutral, strict=True):
        for turn, again, bare in zip(one["messages"], other["messages"], plain["messages"], strict=True):
            style = "warm: " if turn["role"] == "assistant" else ""
            assert turn["content"] == style + bare["content"]
            assert again["content"] == style.replace("warm", "cold") + bare["content"]
