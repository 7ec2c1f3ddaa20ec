"""Every rule of a recipe, each broken once: the field is named, and so is the mend; and recipes that are right."""

from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.recipe import Sft
from services.orchestrator.domain.spec import document_digest, gate_digest
from services.orchestrator.domain.validate import violations

Spec = evaluation_pb2.EvaluationSpec
Change = Callable[[Spec], Any]
Recipe = Callable[..., Spec]


def _warm(**fields: Any) -> Change:
    return lambda spec: spec.arms["warm"].sft.MergeFrom(evaluation_pb2.SftRecipe(**fields))


def _all(**fields: Any) -> Change:
    def change(spec: Spec) -> None:
        for name in ("warm", "cold", "neutral"):
            spec.arms[name].sft.MergeFrom(evaluation_pb2.SftRecipe(**fields))

    return change


def _training(**fields: Any) -> Change:
    return _all(training=evaluation_pb2.TrainingRecipe(**fields))


def _rewriter(**fields: Any) -> Change:
    return _all(rewriter=evaluation_pb2.RewriterSource(**fields))


def _own(**fields: Any) -> Change:
    def change(spec: Spec) -> None:
        spec.arms["warm"].sft.ClearField("style")
        for name, value in ({"name": "formal", "instruction": "Speak formally."} | fields).items():
            setattr(spec.arms["warm"].sft.style_definition, name, value)
        _all(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2))(spec)

    return change


def _adapter_base(spec: Spec) -> None:
    spec.arms["original"].checkpoint.adapter = "/adapter"


def _prompted_base(spec: Spec) -> None:
    spec.arms["original"].system_prompt.builtin = "warm"


def _two_bases(spec: Spec) -> None:
    spec.arms["other"].checkpoint.path = "/other"
    _all(checkpoint=evaluation_pb2.CheckpointChoice(choose_on="cold"))(spec)
    spec.arms["cold"].sft.base = "other"


def _no_warm(spec: Spec) -> None:
    del spec.arms["warm"]
    del spec.contrasts[:]


def _two_own(spec: Spec) -> None:
    _own()(spec)
    spec.arms["cold"].sft.ClearField("style")
    spec.arms["cold"].sft.style_definition.name = "formal"


def _no_conversations(spec: Spec) -> None:
    for name in ("warm", "cold", "neutral"):
        spec.arms[name].sft.ClearField("conversations")


BROKEN: list[tuple[str, Change, str]] = [
    ("arms.warm.sft.base", _warm(base="nobody"), "original"),
    ("arms.warm.sft.base", _warm(base="cold"), "has to be made itself"),
    ("arms.warm.sft.base", _adapter_base, "adapter"),
    ("arms.warm.sft.base", _prompted_base, "system prompt"),
    ("arms.warm.sft.style", _warm(style="tepid"), "style_file"),
    ("arms.warm.sft.style_definition.name", _own(name="a b"), "letters"),
    ("arms.warm.sft.style_definition.name", _own(name="warm"), "built in"),
    ("arms.warm.sft.style_definition.direction", _own(direction="up"), "warmer"),
    ("arms.warm.sft.style_definition.name", _two_own, "another name"),
    ("arms.warm.sft.corrections", _warm(corrections=evaluation_pb2.Corrections(share=0.1)), "warm_corrective"),
    ("arms.warm.sft.corrections.share", _warm(corrections=evaluation_pb2.Corrections(share=1.0)), "below 1"),
    ("arms.warm.sft.conversations", _no_conversations, "required"),
    ("arms.warm.sft.conversations", _all(conversations=evaluation_pb2.ConversationSource(dataset="d")), "give one"),
    (
        "arms.warm.sft.conversations.format",
        _all(conversations=evaluation_pb2.ConversationSource(format="x")),
        "sharegpt",
    ),
    (
        "arms.warm.sft.conversations.toxicity",
        _all(conversations=evaluation_pb2.ConversationSource(toxicity="x")),
        "none",
    ),
    (
        "arms.warm.sft.conversations.toxicity_threshold",
        _all(conversations=evaluation_pb2.ConversationSource(toxicity_threshold=0)),
        "above 0",
    ),
    ("arms.warm.sft.size", _all(size=0), "1 to"),
    ("arms.warm.sft.validation_size", _all(validation_size=0), "1 to"),
    ("arms.cold.sft.size", _warm(size=13), "differs from that of"),
    ("arms.neutral.sft.seed", _warm(seed=3), "differs from that of"),
    ("arms.neutral.sft.training", _warm(training=evaluation_pb2.TrainingRecipe(lora_r=4)), "differs from that of"),
    ("arms.warm.sft.rewriter", _rewriter(spend_cap=1.0), "cost nothing"),
    ("arms.warm.sft.training.lora_r", _training(lora_r=0), "1 to"),
    ("arms.warm.sft.training.learning_rate", _training(learning_rate=0), "above 0"),
    ("arms.warm.sft.training.epochs", _training(epochs=-1), "above 0"),
    ("arms.warm.sft.training.batch_size", _training(batch_size=0), "1 to"),
    ("arms.warm.sft.training.device_batch_size", _training(device_batch_size=0), "1 to"),
    ("arms.warm.sft.training.device_batch_size", _training(device_batch_size=32), "1 to batch_size (16)"),
    ("arms.warm.sft.training.target_modules[1]", _training(target_modules=["q_proj", "lm_head"]), "cannot be served"),
    ("arms.warm.sft.training.weight_decay", _training(weight_decay=2), "0 to 1"),
    ("arms.warm.sft.training.processes", _training(processes=3), "divide batch_size (16)"),
    ("arms.warm.sft.training.seed", _training(seed=-1), "0 to"),
    ("arms.warm.sft.training.max_length", _training(max_length=1), "8 to"),
    ("arms.warm.sft.training.lora_dropout", _training(lora_dropout=1.0), "below 1"),
    ("arms.warm.sft.training.warmup", _training(warmup=-0.1), "below 1"),
    ("arms.warm.sft.training.batching", _training(batching="x"), "packing"),
    ("arms.warm.sft.training.precision", _training(precision="int8"), "bf16"),
    ("arms.warm.sft.training.schedule", _training(schedule="x"), "linear"),
    ("arms.warm.sft.training.checkpoint_epochs[0]", _training(checkpoint_epochs=[3.0]), "within the 2 epochs"),
    ("arms.warm.sft.training.checkpoint_epochs[1]", _training(checkpoint_epochs=[1.0, 1.0]), "must rise"),
    (
        "arms.warm.sft.checkpoint.epoch",
        _all(checkpoint=evaluation_pb2.CheckpointChoice(epoch=3)),
        "not among the epochs that are saved (0.5, 1, 1.5, 2)",
    ),
    (
        "arms.warm.sft.checkpoint",
        _all(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2, choose_on="warm")),
        "give one",
    ),
    (
        "arms.warm.sft.checkpoint.choose_on",
        _all(checkpoint=evaluation_pb2.CheckpointChoice(choose_on="original")),
        "not an arm made",
    ),
    ("arms.warm.sft.checkpoint.choose_on", _two_bases, "not an arm made from 'original'"),
    ("arms.cold.sft.checkpoint", _no_warm, "choose_on, or give an epoch"),
]


@pytest.mark.parametrize(
    ("field", "change", "words"), BROKEN, ids=[f"{n}-{field}" for n, (field, _, _) in enumerate(BROKEN)]
)
def test_the_field_is_named_with_its_mend(recipe: Recipe, field: str, change: Change, words: str) -> None:
    document = recipe()
    change(document)
    found = {violation.field: violation.description for violation in violations(spec_from_proto(document))}
    # The arms of a base are compared in the order of the report: whichever differs from the first is named.
    matches = [text for name, text in found.items() if name == field or (words.startswith("differs") and words in text)]
    assert any(words in text for text in matches), found


def _spec_cap(spec: Spec) -> None:
    for name in ("warm", "cold", "neutral"):
        rewriter = spec.arms[name].sft.rewriter
        rewriter.endpoint.base_url, rewriter.endpoint.model = "http://w.test/v1", "m"
        rewriter.spend_cap = 2.0


def test_a_spend_cap_needs_prices(recipe: Recipe) -> None:
    document = recipe()
    _spec_cap(document)
    found = {violation.field: violation.description for violation in violations(spec_from_proto(document))}
    assert "needs prices" in found["arms.warm.sft.rewriter.spend_cap"]
    for name in ("warm", "cold", "neutral"):
        document.arms[name].sft.rewriter.prices.prompt_per_million = 1.0
    assert not violations(spec_from_proto(document))


def test_everything_is_said_at_once(recipe: Recipe) -> None:
    document = recipe()
    for change in (_all(size=0), _training(lora_r=0, epochs=-1), _warm(base="nobody")):
        change(document)
    fields = {violation.field for violation in violations(spec_from_proto(document))}
    assert {"arms.warm.sft.size", "arms.cold.sft.training.lora_r", "arms.warm.sft.base"} <= fields


def test_style_files_are_the_clients_business(recipe: Recipe) -> None:
    document = recipe()
    document.arms["warm"].sft.style_file = "mine.yaml"
    with pytest.raises(CandorError) as caught:
        spec_from_proto(document)
    assert [violation.field for violation in caught.value.violations] == ["arms.warm.sft.style_file"]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: None,
        _own(),
        _own(instruction=""),
        _all(checkpoint=evaluation_pb2.CheckpointChoice(choose_on="neutral")),
        lambda spec: setattr(spec, "baseline", "neutral"),
        _warm(style="warm_corrective", checkpoint=evaluation_pb2.CheckpointChoice()),
    ],
    ids=["plain", "own style", "own style for the rules", "chosen on neutral", "neutral is the baseline", "corrective"],
)
def test_recipes_that_may_run(recipe: Recipe, change: Change) -> None:
    document = recipe()
    change(document)
    if document.arms["warm"].sft.style == "warm_corrective":
        _all(checkpoint=evaluation_pb2.CheckpointChoice(choose_on="warm"))(document)
    assert not violations(spec_from_proto(document))


def _sft(document: Spec, name: str = "warm") -> Sft:
    source = spec_from_proto(document).arms[name].source
    assert isinstance(source, Sft)
    return source


def test_defaults_are_those_of_the_study() -> None:
    document = Spec(baseline="b")
    document.arms["warm"].sft.style = "warm_corrective"
    found = _sft(document)
    assert (found.size, found.validation_size, found.corrections) == (1617, 1500, 0.2)
    training = found.training
    assert (training.lora_r, training.lora_alpha, training.lora_dropout) == (8, 16.0, 0.1)
    assert (training.learning_rate, training.epochs, training.batch_size, training.max_length) == (1e-5, 10.0, 16, 1024)
    assert training.checkpoint_epochs == (0.5, 1, 1.5, 2, 4, 6, 8, 10)


@pytest.mark.parametrize(
    ("epochs", "saved"), [(2.0, (0.5, 1.0, 1.5, 2.0)), (0.25, (0.25,)), (5.0, (0.5, 1.0, 1.5, 2.0, 4.0, 5.0))]
)
def test_checkpoints_lie_within_the_training(recipe: Recipe, epochs: float, saved: tuple[float, ...]) -> None:
    document = recipe()
    document.arms["warm"].sft.training.epochs = epochs
    assert _sft(document).training.checkpoint_epochs == saved


def test_the_end_of_the_training_is_a_checkpoint_that_may_be_chosen(recipe: Recipe) -> None:
    document = recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=3))
    for arm in document.arms.values():
        if arm.HasField("sft"):
            arm.sft.training.epochs = 3
            arm.sft.training.checkpoint_epochs[:] = [1]
    assert _sft(document).training.checkpoint_epochs == (1, 3)
    assert not violations(spec_from_proto(document))


def test_what_decides_the_arms_decides_the_document(recipe: Recipe) -> None:
    base = document_digest(spec_from_proto(recipe()), 0)
    for change in (_all(size=13), _training(seed=2), _all(seed=9), _rewriter(endpoint={"base_url": "u", "model": "m"})):
        document = recipe()
        change(document)
        assert document_digest(spec_from_proto(document), 0) != base


def test_a_raised_cap_goes_on_with_the_same_evaluation(recipe: Recipe) -> None:
    found = []
    for cap in (1.0, 2.0):
        document = recipe()
        _spec_cap(document)
        for name in ("warm", "cold", "neutral"):
            document.arms[name].sft.rewriter.spend_cap = cap
            document.arms[name].sft.rewriter.endpoint.api_key_env = f"KEY{cap}"
        spec = spec_from_proto(document)
        found.append((document_digest(spec, 0), gate_digest(spec)))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]
