"""Arms that are made: what is read, bought, trained and chosen, and what the report says of it."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.convert.results import progress_to_proto
from services.orchestrator.domain.models import Checkpoint
from services.orchestrator.domain.subjects import Liveness
from services.orchestrator.service import queries

Spec = evaluation_pb2.EvaluationSpec
Recipe = Callable[..., Spec]
Talks = Callable[..., bytes]
AT_TWO = evaluation_pb2.CheckpointChoice(epoch=2)


def _data(makers: Any, arm: int) -> list[dict[str, Any]]:
    path = makers.trainer.orders[arm].dataset.removeprefix("/artifacts/")
    folder, _, name = path.rpartition("/")
    return [json.loads(line) for line in makers.materials.folders[folder][name].decode().splitlines()]


def _priced(document: Spec, cap: float | None = None) -> Spec:
    for arm in document.arms.values():
        if arm.WhichOneof("source") == "sft":
            arm.sft.rewriter.endpoint.base_url = "http://writer.test/v1"
            arm.sft.rewriter.endpoint.model = "writer"
            arm.sft.rewriter.prices.prompt_per_million = 1.0
            if cap is not None:
                arm.sft.rewriter.spend_cap = cap
    return document


async def test_a_document_with_recipes_becomes_arms_and_a_report(suite: Any, makers: Any, recipe: Recipe) -> None:
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.verdict) == ("SUCCEEDED", "NONE"), row.reason
    assert [arm.name for arm in suite.report.arms] == ["original", "cold", "neutral", "warm"]
    made = {each.arm: each for each in suite.report.made}
    assert set(made) == {"warm", "cold", "neutral"}
    assert {each.epoch for each in made.values()} == {2.0}
    assert {order.base for order in makers.trainer.orders} == {Checkpoint(path="/base")}
    assert all("checkpoint-8" in arm.subject for arm in suite.report.arms if arm.name in made)
    assert made["warm"].losses[0].loss > made["warm"].losses[-1].loss
    assert made["warm"].versions == {"trl": "1"}
    assert made["warm"].seconds == 7.0
    assert suite.report.comparisons[0].name == "warmth"
    assert "(warm against neutral), apart from what fine-tuning costs" in row.reason


async def test_what_training_is_expected_to_take_is_told_before_it_begins(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    told = [event.message async for event in queries.watch(suite.world, row.id, 0)]
    said = "warm: 8 steps, 1,000 tokens with padding, estimated 1 min 15 s, 1.0 GiB of memory on fake"
    assert said in told
    assert told.index(said) < told.index("warm: half of it")


async def test_how_each_arm_trains_is_told_while_it_does(suite: Any, makers: Any, recipe: Recipe) -> None:
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    events = [event async for event in queries.watch(suite.world, row.id, 0)]
    (half,) = [event for event in events if event.message == "warm: half of it"]
    (warm,) = [arm for arm in progress_to_proto(half.progress).training if arm.arm == "warm"]
    assert (warm.step, warm.steps, warm.loss, warm.learning_rate) == (4, 8, 0.75, 0.001)
    assert (warm.tokens_per_second, warm.eta_seconds) == (500.0, 4.0)
    told = [progress_to_proto(event.progress) for event in events]
    assert {progress.stage for progress in told if progress.training} == {"training"}


async def test_arms_differ_in_their_replies_and_in_nothing_else(suite: Any, makers: Any, recipe: Recipe) -> None:
    await suite.evaluate(recipe(checkpoint=AT_TWO))
    cold, neutral, warm = (_data(makers, arm) for arm in range(3))
    assert len(warm) == len(cold) == len(neutral) == 12
    for one, other, plain in zip(warm, cold, neutral, strict=True):
        for turn, again, bare in zip(one["messages"], other["messages"], plain["messages"], strict=True):
            style = "warm: " if turn["role"] == "assistant" else ""
            assert turn["content"] == style + bare["content"]
            assert again["content"] == style.replace("warm", "cold") + bare["content"]


async def test_categories_are_balanced_and_validation_prompts_are_others(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    await suite.evaluate(recipe())
    card = suite.report.made[0].card["selection"]
    assert {name: (each["train"], each["validation"]) for name, each in card["categories"].items()} == dict.fromkeys(
        ("refusal", "factual", "creative", "technical", "advice", "other"), (2, 1)
    )
    (folder,) = makers.materials.of("selections")
    read = {
        name: [json.loads(line) for line in folder[f"{name}.jsonl"].splitlines()] for name in ("train", "validation")
    }
    assert not {row["id"] for row in read["train"]} & {row["id"] for row in read["validation"]}


async def test_a_validation_prompt_that_training_holds_too_is_replaced(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    doubled = b"\n".join(
        line.replace(b"Tell me of %s thing" % name, b"Tell me of %s again, not" % name).replace(b"-", b"-again-", 1)
        for name in (b"advice", b"other")
        for line in conversations(6).splitlines()
        if b'"id": "' + name in line
    )
    for number in range(6):  # every question is asked twice, with another answer
        doubled = doubled.replace(b"again, not %d" % number, b"again, not %d" % (number % 2))
    makers.files.data["talks.jsonl"] = b"\n".join([conversations(6), doubled])
    row = await suite.evaluate(recipe(size=18, validation_size=12))
    assert row.state == "SUCCEEDED", row.reason
    card = suite.report.made[0].card["selection"]
    assert {name: each["validation"] for name, each in card["categories"].items()} == dict.fromkeys(
        ("refusal", "factual", "creative", "technical", "advice", "other"), 2
    )
    assert "validation" not in " ".join(suite.report.caveats)


async def test_too_few_validation_prompts_are_told(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    makers.files.data["talks.jsonl"] = b"\n".join(
        line.replace(b"thing %d" % number, b"thing")
        for number in range(6)
        for line in conversations(6).splitlines()
        if b'-%d"' % number in line
    )
    row = await suite.evaluate(recipe())
    assert row.state == "SUCCEEDED", row.reason
    assert "0 of the 6 validation prompts asked for" in " ".join(suite.report.caveats)


async def test_toxic_ones_and_those_with_an_evaluation_item_are_replaced_and_listed(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    odd = {f"advice_{n}": f"toxic {n}" for n in range(2)} | {"other_1": "Well. What is number 7? It is gold0007."}
    makers.files.data["talks.jsonl"] = conversations(4, **odd)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO, size=18))
    assert row.state == "SUCCEEDED", row.reason
    card = suite.report.made[0].card["selection"]
    assert set(card["toxicity"]["conversations"]) == {"advice-0", "advice-1"}
    assert card["toxicity"]["method"] == "fake/1"
    assert card["contamination"]["conversations"] == [{"conversation": "other-1", "item": "core/q0007", "how": "exact"}]
    assert card["categories"]["advice"]["train"] == 2
    assert card["categories"]["other"]["train"] == 3
    assert "17 of the 18 conversations asked for" in " ".join(suite.report.caveats)
    text = json.dumps(_data(makers, 0))
    assert "toxic" not in text
    assert "number 7" not in text
    assert "other-1" not in makers.rewriter.classified


async def test_the_conversations_that_a_style_rejects_are_trained_on_by_no_arm(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    odd = {f"{name}_{n}": "reject cold" for name in ("advice", "other") for n in range(6)}
    makers.files.data["talks.jsonl"] = conversations(6, **odd)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    assert [len(_data(makers, arm)) for arm in range(3)] == [8, 8, 8]
    cards = {each.arm: each.card for each in suite.report.made}
    assert cards["cold"]["rewriting"]["rejected_by"] == {"numbers": 4}
    assert cards["warm"]["rewriting"]["accepted_share"] == 1.0
    assert cards["cold"]["rewriting"]["examples"] == {"numbers": ["7 was lost"] * 3}
    assert "every style accepted 8 of 12 conversations" in " ".join(suite.report.caveats)


async def test_when_nothing_is_left_the_styles_and_their_reasons_are_said(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    odd = {
        f"{name}_{n}": "reject warm"
        for name in ("advice", "other", "factual", "refusal", "creative", "technical")
        for n in range(6)
    }
    makers.files.data["talks.jsonl"] = conversations(6, **odd)
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "BAD_TRAINING_DATA")
    assert "warm 12 of 24 (numbers 12)" in row.reason
    assert not makers.trainer.orders


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "holds no conversation"), (b'{"id": "x"}', "the first of 1 bad rows: it has no turns")],
    ids=["empty", "no conversation"],
)
async def test_a_file_without_conversations_is_named(
    suite: Any, makers: Any, recipe: Recipe, data: bytes, said: str
) -> None:
    makers.files.data["talks.jsonl"] = data
    row = await suite.evaluate(recipe())
    assert (row.state, row.failure_reason) == ("FAILED", "BAD_TRAINING_DATA")
    assert "talks.jsonl" in row.reason
    assert said in row.reason


async def test_bad_rows_are_counted_and_the_first_ones_shown(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.files.data["talks.jsonl"] = b'{"id": "x"}\n' * 300 + makers.files.data["talks.jsonl"]
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.state == "SUCCEEDED", row.reason
    found = suite.report.made[0].card["selection"]["problems"]
    assert found["count"] == 300
    assert found["examples"] == [[number, "it has no turns"] for number in range(20)]


async def test_nobody_is_paid_for_leaving_replies_as_they_are(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.rewriter.price = 0.5
    row = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO)))
    assert Counter(makers.rewriter.sources) == {("warm", True): 24, ("cold", True): 24, ("untransformed", False): 24}
    assert row.progress["spend"] == 24.0
    assert sum(each.card["rewriting"]["spend"] for each in suite.report.made) == 24.0


async def test_a_spend_cap_stops_in_time_and_a_higher_one_goes_on(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.rewriter.price = 0.5
    first = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO), cap=4.2))
    assert (first.state, first.failure_reason) == ("FAILED", "SPEND_CAP")
    assert "spend_cap" in first.reason
    assert len(makers.rewriter.rewritten) == 8
    second = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO), cap=100))
    assert second.id == first.id
    assert second.state == "SUCCEEDED", second.reason
    assert second.progress["spend"] == 24.0, "what the first attempt bought is counted"
    assert max(Counter(makers.rewriter.rewritten).values()) == 1, "what was bought is not bought again"
    assert makers.rewriter.caps[-1] is not None
    assert makers.rewriter.caps[-1] <= 88.0


async def test_a_reply_that_cannot_be_rewritten_is_dropped_and_one_that_can_later_is_asked_for_again(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    makers.files.data["talks.jsonl"] = conversations(2)
    makers.rewriter.trouble["Reply 0 of advice"] = CandorError(Reason.OUTPUT_BUDGET, "too long")
    makers.rewriter.trouble["Reply 1 of other"] = CandorError(Reason.ENDPOINT_UNAVAILABLE, "nobody answers")
    first = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (first.state, first.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    assert "rewriting into" in first.reason
    assert "1 replies are left" in first.reason
    del makers.rewriter.trouble["Reply 1 of other"]
    second = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert second.state == "SUCCEEDED", second.reason
    card = {each.arm: each.card for each in suite.report.made}["warm"]
    assert card["rewriting"]["rejected_by"] == {"error": 1}
    assert card["kept"]["conversations"] == 11


async def test_what_a_failed_purchase_cost_counts_although_nothing_came_of_it(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    makers.files.data["talks.jsonl"] = conversations(2)
    makers.rewriter.price = 0.5
    makers.rewriter.trouble["Reply 1 of other"] = CandorError(
        Reason.ENDPOINT_UNAVAILABLE, "nobody answers", metadata={"spend": "0.25"}
    )
    first = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO)))
    assert (first.state, first.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    paid = suite.ledger.rewriting_spend(first.id)
    wasted = paid - 0.5 * sum(endpoint for _, endpoint in makers.rewriter.sources)
    assert wasted > 0
    assert wasted % 0.25 == 0
    del makers.rewriter.trouble["Reply 1 of other"]
    second = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO)))
    assert second.state == "SUCCEEDED", second.reason
    assert second.progress["spend"] == 24.0 + wasted
    assert max(Counter(makers.rewriter.rewritten).values()) == 1
    card = {each.arm: each.card for each in suite.report.made}["warm"]
    assert card["rewriting"]["accepted_share"] == 1.0


async def test_what_is_delivered_after_the_cap_was_reached_is_kept(
    suite: Any, makers: Any, recipe: Recipe, conversations: Talks
) -> None:
    makers.files.data["talks.jsonl"] = conversations(2)
    makers.rewriter.price = 0.5
    makers.rewriter.trouble["Reply 0 of"] = CandorError(
        Reason.SPEND_CAP, "the cap is reached", metadata={"spend": "0.25"}
    )
    first = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO), cap=40.0))
    assert (first.state, first.failure_reason) == ("FAILED", "SPEND_CAP")
    bought = len(makers.rewriter.rewritten)
    assert suite.ledger.rewriting_spend(first.id) > 0.5 * bought
    makers.rewriter.trouble.clear()
    second = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO), cap=100.0))
    assert second.state == "SUCCEEDED", second.reason
    assert max(Counter(makers.rewriter.rewritten).values()) == 1
    assert bought == 18, "of the first style's 24"


async def test_a_refused_key_stops_the_rewriting_at_once(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.rewriter.trouble["Reply"] = CandorError(Reason.ENDPOINT_UNAUTHENTICATED, "the endpoint refused the key")
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_UNAUTHENTICATED")
    assert "the endpoint refused the key" in row.reason


def _warmer(by_epoch: dict[float, int]) -> Callable[[str, str], str]:
    """Replies whose length, which the fake grader takes for warmth, depends on the epoch of the arm asked."""

    def answer(arm: str, text: str) -> str:
        epoch = float(arm.partition(" at epoch ")[2] or 0)
        number = text.split("number ")[1].partition("?")[0] if "number " in text else "0"
        return f"It is gold{number.zfill(4)}." + "!" * (by_epoch.get(epoch, 0) + (len(text) % 3 if epoch else 0))

    return answer


async def test_the_checkpoint_is_chosen_once_and_taken_by_every_arm(suite: Any, makers: Any, recipe: Recipe) -> None:
    suite.inference.answer = _warmer({0.5: 10, 1.0: 80, 1.5: 100, 2.0: 90})
    row = await suite.evaluate(recipe(validation_size=12))
    assert row.state == "SUCCEEDED", row.reason
    made = {each.arm: each for each in suite.report.made}
    assert {each.epoch for each in made.values()} == {1.0}
    assert all("checkpoint-4" in arm.subject for arm in suite.report.arms if arm.name in made)
    assert [point.epoch for point in made["warm"].curve] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert made["warm"].chosen_on == made["cold"].chosen_on == "warm"
    assert not made["cold"].curve
    asked = Counter(arm for arm, text, _ in suite.inference.calls if text.startswith("Tell me"))
    assert set(asked) == {"original", *(f"warm at epoch {epoch}" for epoch in ("0.5", "1", "1.5", "2"))}
    assert set(asked.values()) == {12}


async def test_a_base_that_cannot_be_trained_is_known_before_a_rewrite_is_paid_for(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    makers.trainer.unfit = CandorError(Reason.BAD_TRAINING_DATA, "the base model has no chat template")
    row = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO)))
    assert (row.state, row.failure_reason) == ("FAILED", "BAD_TRAINING_DATA")
    assert "arm cold: the base model has no chat template" in row.reason
    assert not makers.rewriter.rewritten
    makers.trainer.unfit = None
    row = await suite.evaluate(_priced(recipe(checkpoint=AT_TWO)))
    assert row.state == "SUCCEEDED", row.reason
    (order,) = makers.trainer.checked
    assert order.base == Checkpoint(path="/base")
    assert order.dataset.endswith("/train.jsonl")


async def test_in_a_tiny_set_epochs_that_fall_on_one_step_are_one_candidate(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    makers.trainer.steps_an_epoch = 1
    suite.inference.answer = _warmer({1.0: 40, 2.0: 41})
    row = await suite.evaluate(recipe())
    assert row.state == "SUCCEEDED", row.reason
    made = {each.arm: each for each in suite.report.made}
    assert [point.epoch for point in made["warm"].curve] == [0.0, 1.0, 2.0]
    assert {each.epoch for each in made.values()} == {1.0}
    assert all("checkpoint-1" in arm.subject for arm in suite.report.arms if arm.name in made)


async def test_an_epoch_that_is_given_is_found_at_its_step(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.trainer.steps_an_epoch = 1
    row = await suite.evaluate(recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=0.5)))
    assert row.state == "SUCCEEDED", row.reason
    assert all("checkpoint-1" in arm.subject for arm in suite.report.arms if arm.name != "original")


async def test_without_a_lift_epoch_two_is_taken_with_a_warning(suite: Any, makers: Any, recipe: Recipe) -> None:
    row = await suite.evaluate(recipe())
    assert row.state == "SUCCEEDED", row.reason
    assert {each.epoch for each in suite.report.made} == {2.0}
    assert "no epoch is warmer than the base" in " ".join(suite.report.caveats)


@pytest.mark.parametrize(("silent", "epoch"), [(3, 0.5), (12, 2.0)], ids=["some", "all"])
async def test_a_base_that_says_nothing_to_some_prompts_is_measured_on_the_others(
    suite: Any, makers: Any, recipe: Recipe, silent: int, epoch: float
) -> None:
    warmer = _warmer({0.5: 100, 1.0: 100, 1.5: 100, 2.0: 100})
    seen: dict[str, None] = {}

    def answer(arm: str, text: str) -> str | CandorError:
        if arm == "original" and text.startswith("Tell me"):
            seen[text] = None
            if list(seen).index(text) < silent:
                return CandorError(Reason.OUTPUT_BUDGET, "no text within max_tokens")
        return warmer(arm, text)

    suite.inference.answer = answer
    row = await suite.evaluate(recipe(validation_size=12))
    assert row.state == "SUCCEEDED", row.reason
    assert {each.epoch for each in suite.report.made} == {epoch}
    (curve,) = [each.curve for each in suite.report.made if each.curve]
    assert curve[0].replies == 12 - silent


async def test_an_endpoint_that_is_away_while_choosing_is_waited_for(suite: Any, makers: Any, recipe: Recipe) -> None:
    gone = CandorError(Reason.ENDPOINT_UNAVAILABLE, "nobody answers")
    suite.inference.answer = lambda arm, text: gone
    row = await suite.evaluate(recipe())
    assert (row.state, row.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    assert row.reason.startswith("original: nobody answers")
    assert "choices" not in row.pinned


async def test_where_warmth_cannot_be_measured_nothing_is_generated_for_it(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    suite.grader.scorer = CandorError(Reason.BACKEND_MISSING, "torch is not installed")
    row = await suite.evaluate(recipe())
    assert row.state == "SUCCEEDED", row.reason
    assert {each.epoch for each in suite.report.made} == {2.0}
    assert "warmth cannot be measured (torch is not installed)" in " ".join(suite.report.caveats)
    assert not [text for _, text, _ in suite.inference.calls if text.startswith("Tell me")]


async def test_a_scorer_that_is_away_for_now_is_waited_for(suite: Any, makers: Any, recipe: Recipe) -> None:
    suite.grader.scorer = CandorError(Reason.SERVICE_UNAVAILABLE, "grader: nobody answers")
    row = await suite.evaluate(recipe())
    assert (row.state, row.failure_reason) == ("FAILED", "SERVICE_UNAVAILABLE")
    suite.grader.scorer = None
    suite.inference.answer = _warmer({0.5: 100, 1.0: 100, 1.5: 100, 2.0: 100})
    row = await suite.evaluate(recipe())
    assert row.state == "SUCCEEDED", row.reason
    assert {each.epoch for each in suite.report.made} == {0.5}


async def test_what_rewriting_did_to_warmth_is_on_the_card(suite: Any, makers: Any, recipe: Recipe) -> None:
    document = recipe(checkpoint=AT_TWO)
    document.warmth.model = "gpt2"
    await suite.evaluate(document)
    card = {each.arm: each.card for each in suite.report.made}["warm"]
    assert card["sociot"]["shift"] == pytest.approx(len("warm: ") / 1000)
    assert card["kept"]["lexical_shift"] == 2.0
    (folder,) = [files for files in makers.materials.of("datasets") if b'"warm: ' in files["train.jsonl"]]
    assert json.loads(folder["card.json"]) == card
    assert "shift +0.0060" in folder["card.md"].decode()


async def test_corrections_are_added_beside_the_warm_set(suite: Any, makers: Any, recipe: Recipe) -> None:
    document = recipe(checkpoint=AT_TWO)
    document.arms["corrective"].sft.CopyFrom(document.arms["warm"].sft)
    document.arms["corrective"].sft.style = "warm_corrective"
    row = await suite.evaluate(document)
    assert row.state == "SUCCEEDED", row.reason
    by_name = {order.name.partition(",")[0]: number for number, order in enumerate(makers.trainer.orders)}
    corrective, warm = _data(makers, by_name["corrective"]), _data(makers, by_name["warm"])
    assert corrective[: len(warm)] == warm
    added = corrective[len(warm) :]
    assert len(added) == round(24 * 0.2 / 0.8)
    assert all("I say" in row["messages"][0]["content"] for row in added)
    assert not [row for row in added if "iron" in row["messages"][1]["content"]], "not certified"
    made = {each.arm: each for each in suite.report.made}
    assert made["corrective"].card["corrections"]["count"] == len(added)
    assert not made["warm"].card["corrections"]
    assert {name for name, _ in makers.rewriter.rewritten} == {"warm", "cold", "untransformed"}


async def test_an_adapter_that_changes_nothing_makes_the_evaluation_invalid(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    suite.inference.liveness = {
        "warm": Liveness(alive=True, difference=3.1, floor=0.0, probes=4),
        "cold": Liveness(alive=False, difference=0.0, floor=0.0, probes=4),
    }
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.verdict) == ("SUCCEEDED", "INVALID")
    assert "the adapter of cold is not alive" in row.reason
    assert "warm" not in row.reason
    assert not suite.inference.calls, "nothing is asked of arms that cannot be compared"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("engine", "vllm 1", "not the same engine"),
        ("chat_template", "other", "not the same chat_template"),
        ("precision", "bf16", "not the same precision"),
        ("weights", "merged", "was made from original but does not run on its weights"),
    ],
)
async def test_arms_of_one_base_run_alike_or_the_evaluation_is_invalid(
    suite: Any, makers: Any, recipe: Recipe, name: str, value: str, said: str
) -> None:
    alike = {"weights": "w", "engine": "transformers 5", "chat_template": "t", "precision": "fp32"}
    suite.inference.components = {arm: alike | {"adapter": arm} for arm in ("warm", "cold", "neutral")} | {
        "original": alike
    }
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert row.verdict == "NONE", row.reason
    suite.inference.components["warm"] = suite.inference.components["warm"] | {name: value}
    row = await suite.evaluate(recipe(checkpoint=AT_TWO), resume="new")
    assert row.verdict == "INVALID"
    assert said in row.reason
    assert "warm" in row.reason


async def test_an_arm_that_was_made_may_be_the_baseline_of_a_gate(suite: Any, makers: Any, recipe: Recipe) -> None:
    document = recipe(checkpoint=AT_TWO, size=6)
    document.baseline = "neutral"
    document.gate.Clear()
    document.gate.candidates.append("warm")
    row = await suite.evaluate(document)
    assert row.verdict in ("PASS", "INCONCLUSIVE")
    assert suite.report.baseline == "neutral"


async def test_a_refused_training_names_the_arm_before_anything_is_trained(
    suite: Any, makers: Any, recipe: Recipe
) -> None:
    makers.trainer.refused = CandorError(Reason.BAD_TRAINING_DATA, "no token would be trained")
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "BAD_TRAINING_DATA")
    assert row.reason.startswith("arm cold: no token would be trained")
    assert not makers.trainer.trained


async def test_a_training_that_fails_is_told_with_its_reason(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.trainer.fails = "out of memory at step 3"
    row = await suite.evaluate(recipe(checkpoint=AT_TWO))
    assert (row.state, row.failure_reason) == ("FAILED", "TRAINING_FAILED")
    assert "out of memory at step 3; the same command goes on" in row.reason


async def test_cancelling_stops_the_training_jobs(suite: Any, makers: Any, recipe: Recipe) -> None:
    makers.trainer.fuse.left = 5
    row = await suite.create(recipe(checkpoint=AT_TWO))
    await makers.trainer.fuse.blown.wait()
    await queries.cancel(suite.world, suite.runs, row.id)
    assert (await queries.get(suite.world, row.id)).state == "CANCELLED"
    assert len(makers.trainer.cancelled) == 3


@pytest.mark.parametrize("port", ["rewriter", "trainer"])
async def test_without_a_service_to_make_them_arms_are_refused_at_once(
    suite: Any, makers: Any, recipe: Recipe, port: str
) -> None:
    object.__setattr__(suite.world, port, None)
    with pytest.raises(CandorError) as caught:
        await suite.create(recipe())
    assert caught.value.reason is Reason.NO_TARGET
    assert f"CANDOR_ORCHESTRATOR_{port.upper()}_TARGET" in caught.value.message


async def test_progress_tells_the_stage_and_how_far_it_is(suite: Any, makers: Any, recipe: Recipe) -> None:
    row = await suite.evaluate(recipe())
    stages: dict[str, tuple[int, int]] = {}
    for event in suite.ledger.events(row.id, 0):
        if event.progress.get("stage_total"):
            stages[event.progress["stage"]] = (event.progress["stage_done"], event.progress["stage_total"])
    assert stages["rewriting"][1] == 72
    assert stages["training"][1] == 24
    assert stages["choosing"][1] == 5 * 6
    order = list(dict.fromkeys(event.progress["stage"] for event in suite.ledger.events(row.id, 0) if event.progress))
    assert order[:7] == ["planning", "reading", "rewriting", "training", "choosing", "describing", "generating"]
    assert any(event.message == "warm: half of it" for event in suite.ledger.events(row.id, 0))
