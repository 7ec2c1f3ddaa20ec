"""A plan says what making arms would take and cost, and buys and trains nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.convert.results import plan_to_proto
from services.orchestrator.service.plan import plan

Recipe = Callable[..., evaluation_pb2.EvaluationSpec]
AT_TWO = evaluation_pb2.CheckpointChoice(epoch=2)


async def _plan(suite: Any, document: evaluation_pb2.EvaluationSpec, *, pilot: bool = False) -> Any:
    order = suite.order(document)
    return await plan(suite.world, order.spec, order.data, 0, pilot=pilot)


def _paid(document: evaluation_pb2.EvaluationSpec) -> evaluation_pb2.EvaluationSpec:
    for name in ("warm", "cold", "neutral"):
        rewriter = document.arms[name].sft.rewriter
        rewriter.endpoint.base_url, rewriter.endpoint.model = "http://writer.test/v1", "writer"
        rewriter.prices.prompt_per_million = 10
        rewriter.prices.completion_per_million = 30
    return document


async def test_with_the_rules_nothing_is_paid(suite: Any, makers: Any, recipe: Recipe) -> None:
    found = await _plan(suite, recipe())
    (making,) = found.making
    assert making.arms == ("cold", "neutral", "warm")
    assert (making.conversations, making.replies, making.validation) == (12, 24, 6)
    assert (making.rewriting_calls, making.cost) == (0, None)
    assert making.steps == 2
    # The file has 36 conversations, those of a category alike: a third of them is taken, twice, at three characters a token.
    rows = [json.loads(line) for line in makers.files.data["talks.jsonl"].splitlines()]
    characters = sum(len(turn["content"]) for row in rows for turn in row["messages"])
    assert making.training_tokens == round(2 * characters / 3 / 3)
    assert making.validation_replies == 5 * 6
    assert not makers.rewriter.rewritten
    assert not makers.trainer.orders
    assert not makers.materials.folders


async def test_calls_and_cost_of_a_model_that_rewrites_are_counted_until_they_are_there(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    before = await _plan(suite, _paid(recipe(checkpoint=AT_TWO)))
    (making,) = before.making
    assert making.rewriting_calls == 48, "two styles, 24 replies; the third leaves them as they are"
    assert making.cost is not None
    assert before.cost.cost == making.cost > 48 * 900 * 10 / 1e6
    assert making.validation_replies == 0
    await suite.evaluate(_paid(recipe(checkpoint=AT_TWO)))
    (after,) = (await _plan(suite, _paid(recipe(checkpoint=AT_TWO)))).making
    assert (after.rewriting_calls, after.known, after.cost) == (0, 48, 0.0)


async def test_what_falls_short_is_said(
    suite: Any, makers: Any, recipe: Recipe, conversations: Callable[..., bytes]
) -> None:
    makers.files.data["talks.jsonl"] = conversations(2, advice_0="What is number 3? gold0003")
    (making,) = (await _plan(suite, recipe(size=100, checkpoint=AT_TWO))).making
    assert making.conversations == 11
    assert "11 of the 100" in making.notes[0]
    assert "1 conversations hold an evaluation item" in making.notes[1]


async def test_a_pilot_cannot_ask_a_baseline_that_is_not_made(suite: Any, makers: Any, recipe: Recipe) -> None:
    document = recipe(checkpoint=AT_TWO)
    document.baseline = "neutral"
    with pytest.raises(CandorError) as caught:
        await _plan(suite, document, pilot=True)
    assert caught.value.violations[0].field == "baseline"
    document.baseline = "original"
    assert (await _plan(suite, document, pilot=True)).deterministic_share == 1.0


async def test_a_file_that_is_not_there_is_known_before_the_run(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.files.data["talks.jsonl"] = b""
    with pytest.raises(CandorError) as caught:
        await _plan(suite, recipe())
    assert caught.value.reason is Reason.BAD_TRAINING_DATA


async def test_the_wire_form_keeps_what_is_absent_absent(suite: Any, makers: Any, recipe: Recipe) -> None:
    (making,) = plan_to_proto(await _plan(suite, recipe())).making
    assert not making.HasField("cost")
    assert list(making.arms) == ["cold", "neutral", "warm"]
    assert (making.base, making.replies) == ("original", 24)
