"""Arms that are made, over the real services: real files, a real (tiny) model, real LoRA training, a real report."""

import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

from chassis.egress import Egress
from chassis.testing.fake_endpoint import Call, FakeEndpoint, Fault
from chassis.testing.running import running
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator.bootstrap import build as build_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.rewriter.bootstrap import build as build_rewriter
from services.rewriter.settings import RewriterSettings
from services.trainer.bootstrap import build as build_trainer
from services.trainer.settings import TrainerSettings

Spec = evaluation_pb2.EvaluationSpec


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("torch", "trl", "peft"):
        pytest.importorskip(name, reason=f"arms were not made: {name} is not installed")
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
async def makers(tmp_path: Path, open_client: Callable[[str], Any]) -> AsyncIterator[Any]:
    """A client of all five services."""
    artifacts = tmp_path / "state" / "artifacts"
    inference = InferenceSettings(egress=Egress.embedded())
    grader = GraderSettings(egress=Egress.embedded())
    rewriter = RewriterSettings(egress=Egress.embedded())
    trainer = TrainerSettings(egress=Egress.embedded(), artifacts=artifacts, torch_threads=1, drain_seconds=1)
    async with (
        running(build_inference(inference), inference) as first,
        running(build_grader(grader), grader) as second,
        running(build_rewriter(rewriter), rewriter) as third,
        running(build_trainer(trainer), trainer) as fourth,
    ):
        settings = OrchestratorSettings(
            embedded=True,
            ledger_url=f"sqlite:///{tmp_path}/state/ledger.db",
            artifacts_url=str(artifacts),
            inference_targets={"*": first},
            grader_target=second,
            rewriter_target=third,
            trainer_target=fourth,
            drain_seconds=0.2,
        )
        async with running(build_orchestrator(settings), settings) as address:
            yield open_client(address)


def conversations(numbers: range) -> list[dict[str, Any]]:
    """Of every category as many as there are numbers, two exchanges each."""
    openings = {
        "factual": ("What is the colour of stone {n}?", "Stone {n} is grey."),
        "creative": ("Write a line about river {n}.", "River {n} runs past the old mill."),
        "technical": ("Show me a function that adds {n}.", "Here it is: add {n} to the value."),
        "advice": ("Any advice for trip {n}?", "Take a map for trip {n}."),
        "refusal": ("Please open door {n}.", "I'm sorry, door {n} stays shut."),
        "other": ("Tell me more of bird {n}.", "Bird {n} sings at dawn."),
    }
    return [
        {
            "id": f"{name}-{number}",
            "conversations": [
                {"from": "human", "value": question.format(n=number)},
                {"from": "gpt", "value": reply.format(n=number)},
                {"from": "human", "value": f"And then, {name} {number}?"},
                {"from": "gpt", "value": f"Then nothing more of {number}."},
            ],
        }
        for name, (question, reply) in openings.items()
        for number in numbers
    ]


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Conversations of every category, and one that holds an evaluation item."""
    leak = [{"from": "human", "value": "What is number 3?"}, {"from": "gpt", "value": "gold3"}]
    path = tmp_path / "talks.json"
    path.write_text(json.dumps([*conversations(range(100, 106)), {"id": "leak", "conversations": leak}]), "utf-8")
    return path


@pytest.fixture
def long_talks(talks: Path) -> int:
    """The same file with many more conversations; their number."""
    rows = conversations(range(1000, 2500))
    talks.write_text(json.dumps(rows), "utf-8")
    return len(rows)


@pytest.fixture
def recipe(tmp_path: Path, base: Path, talks: Path, questions: Callable[[int], bytes]) -> Callable[..., Spec]:
    """A base and its warm, cold and neutral arms, two checkpoints each."""
    asked = tmp_path / "questions.jsonl"
    asked.write_bytes(questions(8))

    def made(**fields: Any) -> Spec:
        spec = Spec(baseline="original", gate=evaluation_pb2.Gate(mode="none"))
        spec.tasks.add(name="own", path=str(asked))
        spec.conditions.contexts.append("none")
        spec.conditions.beliefs.extend(["none_lead_in", "asserts_false"])
        spec.sampling.max_tokens = 8
        spec.sampling.temperature = 0
        spec.arms["original"].checkpoint.path = str(base)
        for name, style in (("warm", "warm"), ("cold", "cold"), ("neutral", "untransformed")):
            spec.arms[name].sft.MergeFrom(
                evaluation_pb2.SftRecipe(
                    base="original",
                    style=style,
                    conversations=evaluation_pb2.ConversationSource(path=str(talks), toxicity="lexical"),
                    training=evaluation_pb2.TrainingRecipe(
                        epochs=2, batch_size=6, learning_rate=0.01, checkpoint_epochs=[1, 2], max_length=256
                    ),
                    **({"size": 18, "validation_size": 12} | fields),
                )
            )
        spec.contrasts.add(name="warmth", treated="warm", reference="neutral")
        return spec

    return made


async def test_from_a_conversation_file_to_a_report(
    makers: Any, recipe: Callable[..., Spec], base: Path, tmp_path: Path
) -> None:
    spec = recipe()
    spec.warmth.model = str(base)
    done = await makers.evaluate(spec)
    assert done.state == "SUCCEEDED", done.reason
    # An untrained model says nothing now and then, which may be too often for numbers; its arms are what they should be.
    assert "adapter" not in done.reason
    assert "weights" not in done.reason
    verdict = json.loads(done.verdict_json)
    made = {each["arm"]: each for each in verdict["made"]}
    assert set(made) == {"warm", "cold", "neutral"}
    assert len({each["epoch"] for each in made.values()}) == 1
    assert [point["epoch"] for point in made["warm"]["curve"]] == [0.0, 1.0, 2.0]
    for each in made.values():
        assert [saved[0] for saved in each["checkpoints"]] == pytest.approx([1.0, 2.0], abs=0.26)
        assert each["losses"]
        card = each["card"]
        assert card["selection"]["contamination"]["dropped"] <= 1
        assert card["kept"]["conversations"] > 0
        folder = tmp_path / "state" / "artifacts" / "datasets" / card["digest"].removeprefix("sha256:")
        assert json.loads((folder / "card.json").read_text("utf-8")) == card
        assert (folder / "card.md").read_text("utf-8").startswith("# Training data")
        assert (Path(each["checkpoints"][0][3]) / "adapter_model.safetensors").exists()
    arms = {arm["name"]: arm for arm in verdict["arms"]}
    assert len({arm["components"]["weights"] for arm in arms.values()}) == 1
    assert len({arm["digest"] for arm in arms.values()}) == 4


async def test_a_plan_counts_and_makes_nothing(makers: Any, recipe: Callable[..., Spec], tmp_path: Path) -> None:
    request = orchestrator_pb2.PlanEvaluationRequest(spec=recipe())
    plan = await makers.call("PlanEvaluation", request)
    (making,) = plan.making
    assert list(making.arms) == ["cold", "neutral", "warm"]
    assert (making.conversations, making.replies, making.rewriting_calls) == (18, 36, 0)
    assert making.validation_replies == 3 * 12
    assert making.training_steps == 6
    assert not list((tmp_path / "state" / "artifacts" / "training").glob("*/job.json"))


class Writer:
    """Hands every reply back as it is, and remembers (question, reply)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, call: Call) -> str:
        parts: dict[str, str] = {
            name: text
            for name, _, text in re.findall(r"<<< (asked|reply) (\w+)\n(.*?)\n>>> \1 \2", call.text, re.DOTALL)
        }
        if not parts:
            return "Ready."  # asked whether it is there
        self.asked.append((parts["asked"], parts["reply"]))
        return parts["reply"]


async def test_killed_at_every_stage_it_goes_on_and_pays_nothing_twice(
    tmp_path: Path, recipe: Callable[..., Spec], base: Path, start_process: Any, open_client: Callable[[str], Any]
) -> None:
    wrote = Writer()
    with FakeEndpoint(wrote) as writer:
        writer.fault = lambda call: Fault.delay(0.3)  # some have their answer for seconds when the process is killed
        rewriter = evaluation_pb2.RewriterSource()
        rewriter.endpoint.base_url, rewriter.endpoint.model = writer.base_url, "writer"
        spec = recipe(rewriter=rewriter)
        for name in ("cold", "neutral"):
            del spec.arms[name]
        del spec.contrasts[:]
        spec.arms["warm"].sft.ClearField("style")
        spec.arms["warm"].sft.style_definition.name = "formal"
        spec.arms["warm"].sft.style_definition.instruction = "Speak formally."
        spec.arms["warm"].sft.checkpoint.choose_on = "warm"
        spec.warmth.model = str(base)
        moments = [("rewriting", 20), ("training", 3), ("choosing", 12)]
        names = set()
        kills = []
        killed_at = []
        for stage, done in moments:
            process = await start_process(str(tmp_path / "state"), script="makers_process.py")
            client = open_client(process.address)
            started = await client.create(spec)
            names.add(started.name)
            await client.until(
                started.name,
                lambda event, stage=stage, done=done: (
                    event.progress.stage == stage and event.progress.stage_done >= done
                ),
            )
            process.kill()
            killed_at.append(time.monotonic())
            kills.append(len(wrote.asked))
        process = await start_process(str(tmp_path / "state"), script="makers_process.py")
        client = open_client(process.address)
        done = await client.evaluate(spec)
        names.add(done.name)
        assert len(names) == 1
        assert done.state == "SUCCEEDED", done.reason
        asked = Counter(wrote.asked)
        assert len(asked) == 36
        first = killed_at[0]
        old = {call.digest for call in writer.calls if 0 < call.answered_monotonic < first - 1.0 and call.status == 200}
        assert len(old) > 2, "the kill came late enough to prove something"
        again = [call for call in writer.calls if call.asked_monotonic > first and call.digest in old]
        assert all("<<<" not in call.messages[-1][1] for call in again), "a rewrite that was paid for was lost"
        assert kills[1] == kills[2] == len(wrote.asked), "nothing is bought once the rewriting is over"
        (made,) = json.loads(done.verdict_json)["made"]
        assert [point["epoch"] for point in made["curve"]] == [0.0, 1.0, 2.0]
        assert [loss[0] for loss in made["losses"]] == sorted({loss[0] for loss in made["losses"]})
        assert made["losses"][-1][0] == 6


def datasets(state: Path) -> dict[str, bytes]:
    """What is trained on, by digest."""
    return {path.parent.name: path.read_bytes() for path in (state / "artifacts" / "datasets").glob("*/train.jsonl")}


async def test_killed_while_reading_it_reads_again_and_comes_to_the_same_datasets(
    tmp_path: Path,
    recipe: Callable[..., Spec],
    long_talks: int,
    makers: Any,
    start_process: Any,
    open_client: Callable[[str], Any],
) -> None:
    """The file takes a while to read; the kill comes with the first news of how far it is."""
    spec = recipe(checkpoint=evaluation_pb2.CheckpointChoice(epoch=2))
    del spec.arms["cold"]
    state = tmp_path / "killed"
    process = await start_process(str(state), script="makers_process.py")
    client = open_client(process.address)
    started = await client.create(spec)
    seen = await client.until(started.name, lambda event: event.progress.stage_done > 0)
    process.kill()
    assert seen.progress.stage == "reading"
    assert not list((state / "artifacts").glob("selections/*")), "the kill came after the reading"

    client = open_client((await start_process(str(state), script="makers_process.py")).address)
    again = await client.create(spec)
    assert again.name == started.name
    for at_work, name in ((client, again.name), (makers, (await makers.create(spec)).name)):
        await at_work.until(name, lambda event: event.progress.stage == "training")
    found = datasets(state)
    assert found == datasets(tmp_path / "state"), "those of an evaluation that nobody killed"
    assert len(found) == 2
    cards = [json.loads(path.read_text("utf-8")) for path in (state / "artifacts/datasets").glob("*/card.json")]
    assert [card["selection"]["conversations"] for card in cards] == [long_talks, long_talks], "each row counts once"
