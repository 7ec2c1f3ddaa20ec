"""Arms that are fine-tuned at a provider: what a document may say, what is ordered, and what becomes of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.models import Endpoint
from services.orchestrator.domain.recipe import ProviderTraining
from services.orchestrator.domain.spec import document_digest, gate_digest
from services.orchestrator.domain.subjects import Liveness
from services.orchestrator.domain.validate import violations
from services.orchestrator.service.plan import plan

Spec = evaluation_pb2.EvaluationSpec
Recipe = Callable[..., Spec]
STYLES = ("warm", "cold", "neutral")
AT_TWO = evaluation_pb2.CheckpointChoice(epoch=2)


@pytest.fixture
def document(recipe: Recipe) -> Recipe:
    """The recipe of the other tests, on a base that is served."""

    def made(training: dict[str, Any] | None = None, **fields: Any) -> Spec:
        spec = recipe(**fields)
        spec.arms["original"].endpoint.base_url = "http://x.test/v1"
        spec.arms["original"].endpoint.model = "big"
        spec.arms["original"].endpoint.api_key_env = "KEY"
        for name in STYLES:
            spec.arms[name].sft.training.MergeFrom(evaluation_pb2.TrainingRecipe(**(training or {})))
        return spec

    return made


def refused(document: Spec) -> dict[str, str]:
    """What is wrong with a document, by field."""
    try:
        spec = spec_from_proto(document)
    except CandorError as error:
        return {each.field: each.description for each in error.violations}
    return {each.field: each.description for each in violations(spec)}


def test_a_provider_is_told_what_it_takes_and_defaults_are_the_studys(document: Recipe) -> None:
    spec = document({"learning_rate_multiplier": 0.25, "batch_size": 8, "seed": 3})
    assert not refused(spec)
    (group,) = spec_from_proto(spec).groups()
    assert group.common.training == ProviderTraining(epochs=2, batch_size=8, learning_rate_multiplier=0.25, seed=3)
    assert ProviderTraining() == ProviderTraining(epochs=10, batch_size=16, learning_rate_multiplier=None, seed=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lora_r", 8),
        ("lora_alpha", 16.0),
        ("lora_dropout", 0.0),
        ("target_modules", ["q_proj"]),
        ("learning_rate", 1e-5),
        ("device_batch_size", 1),
        ("max_length", 1024),
        ("checkpoint_epochs", [1.0]),
        ("gradient_checkpointing", False),
        ("batching", "plain"),
        ("precision", "bf16"),
        ("schedule", "linear"),
        ("warmup", 0.0),
    ],
)
def test_what_a_provider_does_not_take_is_named_for_every_arm(document: Recipe, name: str, value: Any) -> None:
    found = refused(document({name: value}))
    assert set(found) == {f"arms.{arm}.sft.training.{name}" for arm in STYLES}
    assert "a provider takes epochs, batch_size, learning_rate_multiplier, seed" in next(iter(found.values()))


def test_a_checkpoint_is_not_told_what_only_a_provider_takes(recipe: Recipe) -> None:
    spec = recipe()
    spec.arms["warm"].sft.training.learning_rate_multiplier = 0.25
    (text,) = [refused(spec)["arms.warm.sft.training.learning_rate_multiplier"]]
    assert "give learning_rate" in text


@pytest.mark.parametrize(
    ("field", "training", "words"),
    [
        ("epochs", {"epochs": 1.5}, "whole"),
        ("epochs", {"epochs": 0}, "1 to 1000"),
        ("batch_size", {"batch_size": 0}, "1 to 4096"),
        ("seed", {"seed": -1}, "0 to"),
        ("learning_rate_multiplier", {"learning_rate_multiplier": 0}, "above 0"),
    ],
)
def test_values_that_no_provider_takes(document: Recipe, field: str, training: dict[str, Any], words: str) -> None:
    assert words in refused(document(training))[f"arms.warm.sft.training.{field}"]


@pytest.mark.parametrize("epoch", [0.5, 3.0])
def test_a_provider_saves_whole_epochs(document: Recipe, epoch: float) -> None:
    found = refused(document(checkpoint=evaluation_pb2.CheckpointChoice(epoch=epoch)))
    assert "whole epochs, here 1 to 2" in found["arms.warm.sft.checkpoint.epoch"]


def test_arms_of_one_base_agree_in_the_multiplier_as_well(document: Recipe) -> None:
    spec = document({"learning_rate_multiplier": 0.25})
    spec.arms["neutral"].sft.training.learning_rate_multiplier = 0.1
    assert "differs from that of cold" in refused(spec)["arms.neutral.sft.training"]


def test_the_price_of_training_stands_with_the_base(document: Recipe) -> None:
    spec = document()
    spec.arms["original"].prices.training_per_million = 25
    assert not refused(spec)
    spec.arms["original"].prices.training_per_million = -1
    spec.arms["warm"].prices.training_per_million = 25
    found = refused(spec)
    assert "0 or more" in found["arms.original.prices.training_per_million"]
    assert "the endpoint arm that others are trained from" in found["arms.warm.prices.training_per_million"]


def test_a_price_of_training_is_no_other_document(document: Recipe) -> None:
    plain, priced = document(), document()
    for spec in (plain, priced):
        spec.arms["original"].prices.prompt_per_million = 1
    priced.arms["original"].prices.training_per_million = 25
    first, second = spec_from_proto(plain), spec_from_proto(priced)
    assert document_digest(first, 0) == document_digest(second, 0)
    assert gate_digest(first) != gate_digest(second)


async def test_the_jobs_are_ordered_at_the_base_and_their_models_become_the_arms(
    suite: Any, makers: Any, document: Recipe
) -> None:
    spec = document({"learning_rate_multiplier": 0.25}, checkpoint=AT_TWO)
    spec.arms["warm"].system_prompt.text = "Be brief."
    row = await suite.evaluate(spec)
    assert row.state == "SUCCEEDED", row.reason
    base = Endpoint(base_url="http://x.test/v1", model="big", api_key_env="KEY")
    assert {order.base for order in makers.trainer.orders} == {base}
    assert [order.style for order in makers.trainer.orders] == ["cold", "untransformed", "warm"]
    made = {each.arm: each for each in suite.report.made}
    for arm in suite.report.arms:
        if arm.name in made:
            assert made[arm.name].model in arm.subject
            assert made[arm.name].model.endswith(":2")
            assert made[arm.name].provider_job.startswith("ftjob-")
    compared = suite.inference.compared
    assert {name: arm.source for name, arm in compared.items()} == dict.fromkeys(STYLES, base)
    assert compared["warm"].system_prompt.text == "Be brief.", "only the fine-tuning differs"


async def test_the_checkpoint_is_chosen_among_the_epochs_that_were_kept_and_the_rest_is_said(
    suite: Any, makers: Any, document: Recipe
) -> None:
    makers.trainer.kept = (3.0, 4.0)
    row = await suite.evaluate(document({"epochs": 4}))
    assert row.state == "SUCCEEDED", row.reason
    curve = next(each.curve for each in suite.report.made if each.curve)
    assert [point.epoch for point in curve] == [0.0, 3.0, 4.0]
    asked = {arm for arm, text, _ in suite.inference.calls if text.startswith("Tell me of")}
    assert asked == {"original", "warm at epoch 3", "warm at epoch 4"}
    assert any(
        "of the 4 epochs of the arms of original the provider kept 3, 4" in each for each in suite.report.caveats
    )


async def test_where_only_the_last_epoch_is_kept_it_is_taken_and_said(
    suite: Any, makers: Any, document: Recipe
) -> None:
    makers.trainer.kept = (2.0,)
    row = await suite.evaluate(document())
    assert row.state == "SUCCEEDED", row.reason
    assert {(each.epoch, each.rule) for each in suite.report.made} == {(2.0, "the only one that the provider kept")}
    assert any("the provider kept 2: no other could be taken" in each for each in suite.report.caveats)
    assert not any(text.startswith("Tell me of") for _, text, _ in suite.inference.calls)


async def test_an_epoch_that_was_named_and_not_kept_is_an_error_that_names_those_that_were(
    suite: Any, makers: Any, document: Recipe
) -> None:
    makers.trainer.kept = (3.0, 4.0)
    row = await suite.evaluate(document({"epochs": 4}, checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "TRAINING_FAILED")
    assert "saved are 3, 4: name one in checkpoint.epoch" in row.reason


async def test_a_base_that_cannot_be_asked_is_known_before_anything_is_rewritten(
    suite: Any, makers: Any, document: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise CandorError(Reason.CREDENTIAL_MISSING, "model.endpoint.api_key_env: the variable KEY is not set")

    monkeypatch.setattr(suite.inference, "describe", broken)
    row = await suite.evaluate(document())
    assert (row.state, row.failure_reason) == ("FAILED", "CREDENTIAL_MISSING")
    assert "arms.original.endpoint.api_key_env" in row.reason
    assert not makers.rewriter.rewritten


async def test_a_fine_tune_that_is_its_base_makes_the_evaluation_invalid(
    suite: Any, makers: Any, document: Recipe
) -> None:
    suite.inference.liveness = {"cold": Liveness(alive=False, probes=8, measure="greedy_text")}
    row = await suite.evaluate(document(checkpoint=AT_TWO))
    assert row.verdict == "INVALID"
    assert "the fine-tune of cold is not alive" in row.reason


async def test_where_a_base_never_repeats_itself_nothing_is_claimed(suite: Any, makers: Any, document: Recipe) -> None:
    suite.inference.liveness = {"cold": Liveness(alive=True, floor=0.75, probes=8, measure="greedy_text")}
    row = await suite.evaluate(document(checkpoint=AT_TWO))
    assert row.verdict == "NONE"
    assert any("whether the fine-tune of cold is alive cannot be told" in each for each in suite.report.caveats)
    assert any("differed on 75% of 8 probes" in each for each in suite.report.caveats)


async def test_training_is_part_of_the_spend_unless_it_was_there(suite: Any, makers: Any, document: Recipe) -> None:
    spec = document(checkpoint=AT_TWO)
    spec.arms["original"].prices.training_per_million = 100
    makers.trainer.created = 1e12
    row = await suite.evaluate(spec)
    assert row.progress["spend"] == 3 * 5_000 * 100 / 1e6
    makers.trainer.created = 0.0
    row = await suite.evaluate(spec)
    assert row.progress["spend"] == 0.0


async def test_a_failed_job_says_what_the_same_command_does(suite: Any, makers: Any, document: Recipe) -> None:
    makers.trainer.fails = "the provider's job ftjob-1 is failed: the file is too short"
    row = await suite.evaluate(document(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "TRAINING_FAILED")
    assert "the file is too short; the same command asks the provider once more" in row.reason


async def test_a_plan_says_what_the_provider_trains_on_and_takes(suite: Any, makers: Any, document: Recipe) -> None:
    spec = document()
    order = suite.order(spec)
    bare = await plan(suite.world, order.spec, order.data, 0, pilot=False)
    (making,) = bare.making
    assert making.provider_cost is None
    assert making.validation_cost is None
    assert any("give prices.training_per_million to original" in warning for warning in bare.warnings)
    rows = [json.loads(line) for line in makers.files.data["talks.jsonl"].splitlines()]
    chars = sum(len(turn["content"]) for row in rows for turn in row["messages"])
    four_a_token = 3 * 2 * (chars * 12 / 36) / 4
    assert four_a_token < making.provider_tokens < 3 * four_a_token
    for name in ("original", "warm"):
        spec.arms[name].prices.completion_per_million = 1
    spec.arms["original"].prices.training_per_million = 25
    order = suite.order(spec)
    priced = await plan(suite.world, order.spec, order.data, 0, pilot=False)
    (making,) = priced.making
    assert making.provider_cost == making.provider_tokens * 25 / 1e6
    assert making.validation_cost == pytest.approx(making.validation_replies * 300 / 1e6)
    assert not any("training_per_million" in warning for warning in priced.warnings)
    assert not makers.trainer.orders
