"""Killed at any point of the making and started again: nothing finished is redone, and the arms are the same."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.service import queries

Recipe = Callable[..., evaluation_pb2.EvaluationSpec]
AT_TWO = evaluation_pb2.CheckpointChoice(epoch=2)


async def _killed(suite: Any, fuse: Any, document: evaluation_pb2.EvaluationSpec, after: int) -> None:
    fuse.left = after
    await suite.create(document)
    await fuse.blown.wait()
    await suite.runs.crash()
    fuse.left = None


@pytest.mark.parametrize("after", [0, 20, 50, 80, 107])
async def test_killed_while_reading_or_rewriting(suite: Any, makers: Any, recipe: Recipe, after: int) -> None:
    """36 rows are read, then 72 replies rewritten."""
    await _killed(suite, makers.rewriter.fuse, recipe(checkpoint=AT_TWO), after)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    bought = Counter(makers.rewriter.rewritten)
    assert len(bought) == 72
    assert max(bought.values()) == 1
    assert makers.rewriter.read_rows == (36 + after if after < 36 else 36)


@pytest.mark.parametrize("after", [0, 7, 23])
async def test_killed_while_training(suite: Any, makers: Any, recipe: Recipe, after: int) -> None:
    await _killed(suite, makers.trainer.fuse, recipe(checkpoint=AT_TWO), after)
    opened, rewritten = makers.files.opened, len(makers.rewriter.rewritten)
    del makers.files.data["talks.jsonl"]
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    assert len(makers.trainer.trained) == len(set(makers.trainer.trained)) == 24
    assert (makers.files.opened, len(makers.rewriter.rewritten)) == (opened, rewritten), "the file is not needed again"
    assert [loss.step for loss in suite.report.made[0].losses] == list(range(1, 9))


async def test_what_was_told_of_the_training_before_the_kill_is_not_told_again(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    # The trainer is a server of its own: the first arms are done and told when the orchestrator dies.
    await _killed(suite, makers.trainer.fuse, recipe(checkpoint=AT_TWO), 17)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    told = Counter([event.message async for event in queries.watch(suite.world, row.id, 0)])
    assert told["cold, neutral, warm are to be made"] == 1
    assert told["12 conversations selected, 0 held an evaluation item"] == 1
    assert told["original: every style accepted 12 conversations"] == 1
    for arm in ("warm", "cold", "neutral"):
        assert told[f"{arm}: half of it"] == 1
        assert sum(count for line, count in told.items() if line.startswith(f"{arm}: 8 steps, ")) == 1


async def test_of_a_job_that_was_trained_for_another_evaluation_that_is_all_that_is_told(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    await suite.evaluate(recipe(checkpoint=AT_TWO))
    document = recipe(checkpoint=AT_TWO)
    document.sampling.temperature = 0.0
    row = await suite.evaluate(document)
    told = [event.message async for event in queries.watch(suite.world, row.id, 0)]
    assert [line for line in told if line.startswith("warm: ")] == ["warm: trained before, 8 steps"]
    assert suite.report.made[0].losses, "its curve is in the report all the same"


async def test_conversations_that_changed_in_the_middle_are_told(suite: Any, makers: Any, recipe: Recipe) -> None:
    await _killed(suite, makers.trainer.fuse, recipe(checkpoint=AT_TWO), 7)
    makers.files.data["talks.jsonl"] += b"\n"
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "DOCUMENT_CHANGED")
    assert "talks.jsonl has changed" in row.reason


async def test_killed_while_choosing(suite: Any, makers: Any, recipe: Recipe) -> None:
    await suite.create(recipe(validation_size=12))
    await suite.inference.reached(17)
    await suite.runs.crash()
    row = await suite.evaluate(recipe(validation_size=12))
    assert row.state == "SUCCEEDED", row.reason
    asked = Counter((arm, text) for arm, text, _ in suite.inference.calls if text.startswith("Tell me"))
    assert len(asked) == 60
    assert sum(asked.values()) <= 62, "at most what was in flight is asked again"


async def test_killed_while_the_arms_are_asked_everything_that_makes_them_rests(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    document = recipe(checkpoint=AT_TWO)
    makers.rewriter.price = 0.5
    for name in ("warm", "cold", "neutral"):
        rewriter = document.arms[name].sft.rewriter
        rewriter.endpoint.base_url, rewriter.endpoint.model = "http://writer.test/v1", "writer"
        rewriter.prices.prompt_per_million = 1.0
    await suite.create(document)
    await suite.inference.reached(10)
    await suite.runs.crash()
    orders = len(makers.trainer.orders)
    object.__setattr__(suite.world, "materials", None)
    row = await suite.evaluate(document)
    assert row.state == "SUCCEEDED", row.reason
    assert row.progress["spend"] == 24.0
    assert len(makers.trainer.orders) == orders
    assert len(suite.report.made) == 3


async def test_another_evaluation_of_the_same_recipes_buys_and_trains_nothing(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    await suite.evaluate(recipe(checkpoint=AT_TWO))
    before = (len(makers.rewriter.rewritten), len(makers.trainer.trained), makers.rewriter.read_rows)
    document = recipe(checkpoint=AT_TWO)
    document.sampling.temperature = 0.0
    row = await suite.evaluate(document)
    assert row.state == "SUCCEEDED", row.reason
    assert (len(makers.rewriter.rewritten), len(makers.trainer.trained), makers.rewriter.read_rows) == before
    assert row.progress["stage"] == "done"


async def test_another_gate_looks_at_the_same_arms(suite: Any, makers: Any, recipe: Recipe) -> None:
    first = await suite.evaluate(recipe(checkpoint=AT_TWO))
    asked = len(suite.inference.calls)
    document = recipe(checkpoint=AT_TWO)
    document.contrasts.add(name="coldness", treated="cold", reference="neutral")
    second = await suite.evaluate(document)
    assert second.id != first.id
    assert second.state == "SUCCEEDED", second.reason
    assert len(suite.inference.calls) == asked
    assert suite.report.made == suite.reporter.reports[0].made
    assert [comparison.name for comparison in suite.report.comparisons[:2]] == ["warmth", "coldness"]


async def test_another_rewriter_buys_anew(suite: Any, makers: Any, recipe: Recipe) -> None:
    await suite.evaluate(recipe(checkpoint=AT_TWO))
    makers.rewriter.version = "2"
    await suite.evaluate(recipe(checkpoint=AT_TWO), resume="new")
    assert set(Counter(makers.rewriter.rewritten).values()) == {2}


def _lose(makers: Any, kind: str) -> None:
    """Somebody removes folders from the artifacts."""
    for folder in [folder for folder in makers.materials.folders if folder.startswith(kind)]:
        del makers.materials.folders[folder]


@pytest.mark.parametrize("kind", ["selections", "datasets"])
async def test_what_is_lost_of_the_making_is_made_again_and_nothing_is_bought_twice(
    suite: Any, makers: Any, recipe: Recipe, kind: str
) -> None:
    await _killed(suite, makers.trainer.fuse, recipe(checkpoint=AT_TWO), 7)
    before = dict(makers.materials.folders)
    _lose(makers, kind)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    assert makers.materials.folders == before
    assert max(Counter(makers.rewriter.rewritten).values()) == 1


async def test_a_lost_selection_of_a_file_that_changed_is_told(suite: Any, makers: Any, recipe: Recipe) -> None:
    await _killed(suite, makers.trainer.fuse, recipe(checkpoint=AT_TWO), 7)
    _lose(makers, "selections")
    makers.files.data["talks.jsonl"] += b"\n"
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "DOCUMENT_CHANGED")
    assert "talks.jsonl, or Candor, is another since. Start a new evaluation (--new)" in row.reason


async def test_an_adapter_that_is_gone_is_told_with_its_folder_and_the_mend(
    suite: Any, makers: Any, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = suite.inference.describe

    async def gone(arm: Any) -> Any:
        if arm.name == "warm":
            raise CandorError(Reason.CHECKPOINT_NOT_FOUND, "model.checkpoint.adapter: there is no folder /x")
        return await describe(arm)

    monkeypatch.setattr(suite.inference, "describe", gone)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "CHECKPOINT_NOT_FOUND")
    assert "arms.warm.checkpoint.adapter: there is no folder /x" in row.reason
    assert "checkpoint-8) was made for this evaluation. Put it back, or start anew (--new)" in row.reason
