"""The world with a rewriter, a trainer and files, all of them fakes that remember what they were asked."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.making.conversations import Conversation
from services.orchestrator.domain.making.corrections import Fact
from services.orchestrator.domain.making.estimate import Estimate
from services.orchestrator.domain.models import Endpoint
from services.orchestrator.domain.recipe import CATEGORIES, ConversationRef, RewriterChoice, Style
from services.orchestrator.ports.making import (
    Corrected,
    Correction,
    Exchange,
    OpenedFile,
    Problem,
    RewriterInfo,
    Rewritten,
    Toxicity,
    Trained,
    TrainingJob,
    TrainingOrder,
    TrainingStep,
)


@dataclass
class Fuse:
    """Breaks the work after so many steps, as a killed process does: once."""

    left: int | None = None
    blown: asyncio.Event = field(default_factory=asyncio.Event)

    async def burn(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.blown.set()
            await asyncio.Event().wait()


@dataclass
class FakeFiles:
    """Files in memory."""

    data: dict[str, bytes] = field(default_factory=dict)
    opened: int = 0

    def open(self, ref: ConversationRef) -> OpenedFile:
        name = ref.path or ref.dataset
        if name not in self.data:
            raise CandorError(Reason.BAD_DATASET, f"{name} is not there")
        self.opened += 1
        data = self.data[name]
        return OpenedFile(name, "sha256:" + hashlib.sha256(data).hexdigest(), iter([data]))


@dataclass
class FakeMaterials:
    """Folders in memory."""

    folders: dict[str, dict[str, bytes]] = field(default_factory=dict)
    error: CandorError | None = None

    def has(self, folder: str, *names: str) -> bool:
        return set(names) <= self.folders.get(folder, {}).keys() and folder in self.folders

    def write(self, folder: str, files: dict[str, bytes]) -> None:
        if self.error is not None:
            raise self.error
        if not self.has(folder, *files):
            self.folders[folder] = dict(files)

    def read(self, folder: str, name: str) -> bytes:
        return self.folders[folder][name]

    def location(self, folder: str, name: str) -> str:
        return f"/artifacts/{folder}/{name}"

    def of(self, kind: str) -> list[dict[str, bytes]]:
        """The folders of a kind."""
        return [files for name, files in self.folders.items() if name.startswith(kind)]


@dataclass
class FakeRewriter:
    """Puts the style's name before a reply; `reject STYLE` in a reply is not accepted in that style."""

    fuse: Fuse = field(default_factory=Fuse)
    read_rows: int = 0
    classified: list[str] = field(default_factory=list)
    rewritten: list[tuple[str, str]] = field(default_factory=list)
    sources: list[tuple[str, bool]] = field(default_factory=list)
    caps: list[float | None] = field(default_factory=list)
    price: float = 0.0
    trouble: dict[str, CandorError] = field(default_factory=dict)
    version: str = "1"
    corrected: list[Fact] = field(default_factory=list)

    async def read(
        self, chunks: Iterator[bytes], filename: str, file_format: str, max_turns: int
    ) -> AsyncIterator[Conversation | Problem]:
        for row, line in enumerate(b"".join(chunks).decode().splitlines()):
            await self.fuse.burn()
            self.read_rows += 1
            value = json.loads(line)
            if "messages" not in value:
                yield Problem(row, "it has no turns")
                continue
            turns = tuple((turn["role"], turn["content"]) for turn in value["messages"])
            yield Conversation(id=value["id"], row=row, messages=turns, category=value["category"])

    async def classify(
        self, conversations: Sequence[Conversation], toxicity: str, threshold: float
    ) -> AsyncIterator[tuple[int, Toxicity | CandorError]]:
        for index, each in enumerate(conversations):
            self.classified.append(each.id)
            toxic = any("toxic" in text for _, text in each.messages)
            yield index, Toxicity(toxic=toxic, score=float(toxic), method="fake/1")

    async def describe(self, style: Style, choice: RewriterChoice) -> RewriterInfo:
        source = choice.endpoint.model if choice.endpoint else "rules"
        return RewriterInfo(digest=f"sha256:{style.name}-{source}-{self.version}", components={"source": source})

    async def rewrite(
        self,
        style: Style,
        choice: RewriterChoice,
        exchanges: Sequence[Exchange],
        *,
        seed: int,
        spend_cap: float | None = None,
    ) -> AsyncIterator[tuple[int, Rewritten | CandorError]]:
        self.caps.append(spend_cap)
        left = spend_cap
        for index, exchange in enumerate(exchanges):
            await self.fuse.burn()
            await asyncio.sleep(0)
            found = next((error for word, error in self.trouble.items() if word in exchange.reply), None)
            if left is not None and left < self.price:
                found = CandorError(Reason.SPEND_CAP, "the cap is reached")
            if found is not None:
                yield index, found
                continue
            price = self.price if choice.endpoint else 0.0
            left = left - price if left is not None else None
            self.rewritten.append((style.name, exchange.reply))
            self.sources.append((style.name, choice.endpoint is not None))
            accepted = f"reject {style.name}" not in exchange.reply
            yield (
                index,
                Rewritten(
                    text=exchange.reply if style.name == "untransformed" else f"{style.name}: {exchange.reply}",
                    accepted=accepted,
                    failed=() if accepted else (("numbers", "7 was lost"),),
                    style_shift={"warm": 2.0, "cold": -1.0}.get(style.name, 0.0),
                    spend=price,
                ),
            )

    async def correct(self, facts: Sequence[Fact], seed: int) -> Corrected:
        self.corrected += facts
        return Corrected(
            tuple(
                Correction(
                    (
                        ("user", f"{fact.question} I say {fact.false_answer}, {seed}."),
                        ("assistant", f"It is {fact.gold}."),
                    ),
                    accepted="iron" not in fact.gold,
                )
                for fact in facts
            ),
            "sha256:corrections",
        )


@dataclass
class FakeTrainer:
    """Four steps an epoch, where nothing else is said; a job goes on from the step at which its watcher was lost."""

    fuse: Fuse = field(default_factory=Fuse)
    orders: list[TrainingOrder] = field(default_factory=list)
    trained: list[tuple[str, int]] = field(default_factory=list)
    jobs: dict[str, TrainingOrder] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    steps_an_epoch: int = 4
    cancelled: list[str] = field(default_factory=list)
    refused: CandorError | None = None
    unfit: CandorError | None = None
    checked: list[TrainingOrder] = field(default_factory=list)
    fails: str = ""
    kept: tuple[float, ...] = (1.0, 2.0)
    created: float = 0.0

    async def check(self, order: TrainingOrder) -> tuple[str, ...]:
        if self.unfit is not None:
            raise self.unfit
        self.checked.append(order)
        return ("may run out of memory",)

    async def create(self, order: TrainingOrder) -> TrainingJob:
        if self.refused is not None:
            raise self.refused
        self.orders.append(order)
        key = (order.base, order.dataset_digest, order.training)
        name = "trainingJobs/" + hashlib.sha256(repr(key).encode()).hexdigest()[:12]
        self.jobs.setdefault(name, order)
        self.steps.setdefault(name, 0)
        return await self.get(name)

    async def watch(self, name: str, after: int) -> AsyncIterator[TrainingStep]:
        total = self._total(name)
        for step in range(after + 1, total + 1):
            if step > self.steps[name]:
                await self.fuse.burn()
                self.steps[name] = step
                self.trained.append((name, step))
            await asyncio.sleep(0)
            yield TrainingStep(
                sequence=step,
                state="RUNNING",
                step=step,
                steps=total,
                epoch=step / 4,
                loss=3.0 / step,
                learning_rate=0.001,
                tokens_per_second=500.0,
                eta_seconds=float(total - step),
                time=100.0 + step,
                message="half of it" if step == total // 2 else "",
            )

    async def get(self, name: str) -> TrainingJob:
        order = self.jobs[name]
        done = self.steps[name] == self._total(name)
        state = "FAILED" if self.fails and done else "SUCCEEDED" if done else "RUNNING"
        return TrainingJob(
            name=name,
            state=state,
            reason=self.fails,
            steps=self._total(name),
            step=self.steps[name],
            created=self.created,
            **self._at_a_provider(name)
            if isinstance(order.base, Endpoint)
            else {"checkpoints": self._adapters(name), "versions": {"trl": "1"}, "facts": {"device": "fake"}},
            estimate=None
            if isinstance(order.base, Endpoint)
            else Estimate(
                steps=self._total(name),
                tokens=1000,
                seconds=75.0,
                basis="two steps were timed",
                memory_bytes=2**30,
                free_bytes=0,
                device="fake",
            ),
        )

    def _at_a_provider(self, name: str) -> dict[str, Any]:
        job = name.partition("/")[2]
        models = (Trained(epoch=epoch, step=round(4 * epoch), model=f"ft:{job}:{epoch:g}") for epoch in self.kept)
        return {
            "checkpoints": tuple(models),
            "provider_job": f"ftjob-{job}",
            "trained_tokens": 5_000,
            "facts": {"trained at": "http://x.test/v1"},
        }

    def _adapters(self, name: str) -> tuple[Trained, ...]:
        epochs = self.jobs[name].training.checkpoint_epochs
        return tuple(
            Trained(
                epoch=epoch,
                step=step,
                path=f"/adapters/{name.partition('/')[2]}/checkpoint-{step}",
                digest=f"sha256:{name}-{epoch}",
                loss=1.0,
            )
            for step, epoch in {self._step(epoch): epoch for epoch in epochs}.items()
        )

    async def cancel(self, name: str) -> None:
        self.cancelled.append(name)

    def _total(self, name: str) -> int:
        return self._step(self.jobs[name].training.epochs)

    def _step(self, epoch: float) -> int:
        return max(1, round(self.steps_an_epoch * epoch))


@dataclass
class Makers:
    """What makes arms, at hand."""

    files: FakeFiles
    materials: FakeMaterials
    rewriter: FakeRewriter
    trainer: FakeTrainer


def make_conversations(each: int = 6, **odd: str) -> bytes:
    """So many conversations of two exchanges in each category; `odd` changes the first reply of an id."""
    rows = []
    for category in CATEGORIES:
        for number in range(each):
            name = f"{category}-{number}"
            reply = odd.get(name.replace("-", "_"), f"Reply {number} of {category}.")
            turns = [
                {"role": "user", "content": f"Tell me of {category} thing {number}"},
                {"role": "assistant", "content": reply},
                {"role": "user", "content": f"And of {category} matter {number}"},
                {"role": "assistant", "content": f"Second {number} of {category}."},
            ]
            rows.append(json.dumps({"id": name, "category": category, "messages": turns}))
    return "\n".join(rows).encode()


def make_recipe(**recipe: Any) -> evaluation_pb2.EvaluationSpec:
    """A base and its warm, cold and neutral arms; a research document."""
    document = evaluation_pb2.EvaluationSpec(baseline="original", gate=evaluation_pb2.Gate(mode="none"))
    document.arms["original"].checkpoint.path = "/base"
    for name, style in (("warm", "warm"), ("cold", "cold"), ("neutral", "untransformed")):
        document.arms[name].sft.MergeFrom(
            evaluation_pb2.SftRecipe(
                base="original",
                style=style,
                conversations=evaluation_pb2.ConversationSource(path="talks.jsonl"),
                training=evaluation_pb2.TrainingRecipe(epochs=2),
                **({"size": 12, "validation_size": 6} | recipe),
            )
        )
    document.contrasts.add(name="warmth", treated="warm", reference="neutral")
    return document


def _plain(arm: str, text: str) -> str:
    """The same to every arm, right where there is a right answer."""
    number = text.split("number ")[1].partition("?")[0] if "number " in text else "0"
    return f"It is gold{number.zfill(4)}."


@pytest.fixture
def makers(suite: Any) -> Makers:
    made = Makers(FakeFiles({"talks.jsonl": make_conversations()}), FakeMaterials(), FakeRewriter(), FakeTrainer())
    suite.inference.verifiable = True
    suite.inference.answer = _plain
    for name, port in (
        ("conversations", made.files),
        ("materials", made.materials),
        ("rewriter", made.rewriter),
        ("trainer", made.trainer),
    ):
        object.__setattr__(suite.world, name, port)
    return made


@pytest.fixture
def recipe() -> Callable[..., evaluation_pb2.EvaluationSpec]:
    return make_recipe


@pytest.fixture
def conversations() -> Callable[..., bytes]:
    return make_conversations
