"""What every backend of the inference service promises, checked on each of them."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from chassis.llm import Policy
from chassis.llm.waiting import Backoff
from chassis.metrics import Metrics
from chassis.testing import Call, FakeEndpoint
from services.inference.backends.openai import OpenAiBackend
from services.inference.backends.transformers import TransformersBackend
from services.inference.domain.model import Checkpoint, Endpoint, ModelSpec, Prompt, Reply, Sampling
from services.inference.ports import Backend, Subject

SAMPLING = Sampling(temperature=0.8, max_tokens=12, seed=1)


def prompts(count: int) -> list[Prompt]:
    """Questions of different lengths, each with a seed of its own."""
    return [Prompt(messages=(("user", f"Question {'x' * (7 * i % 40)} {i}?"),), seed=i) for i in range(count)]


async def replies(subject: Subject, asked: list[Prompt], sampling: Sampling = SAMPLING) -> list[str]:
    """Texts by index; asserts that each index comes exactly once."""
    found: dict[int, str] = {}
    async for index, outcome in subject.generate(asked, sampling):
        assert index not in found
        assert isinstance(outcome, Reply), outcome
        found[index] = outcome.text
    assert sorted(found) == list(range(len(asked)))
    return [found[index] for index in range(len(asked))]


async def outcomes(subject: Subject, asked: list[Prompt], sampling: Sampling) -> list[str]:
    """Texts by index, or the reason why there is none."""
    found = {index: outcome async for index, outcome in subject.generate(asked, sampling)}
    return [
        outcome.text if isinstance(outcome, Reply) else outcome.reason.name
        for outcome in (found[index] for index in range(len(asked)))
    ]


class SubjectContract:
    """Subclasses have the fixtures `backend`, `spec` (which it serves) and `forbidden` (which it must refuse)."""

    @pytest.fixture
    async def subject(self, backend: Backend, spec: ModelSpec) -> AsyncIterator[Subject]:
        found = await backend.prepare(spec, "")
        yield found
        await found.close()

    async def test_each_prompt_is_answered_exactly_once(self, subject: Subject) -> None:
        texts = await replies(subject, prompts(45))
        assert all(text.strip() for text in texts)
        assert len(set(texts)) > 20

    async def test_a_reply_comes_with_tokens_time_and_finish_reason(self, subject: Subject) -> None:
        async for _, outcome in subject.generate(prompts(3), SAMPLING):
            assert isinstance(outcome, Reply)
            assert outcome.finish_reason in ("stop", "length")
            assert (outcome.usage.prompt_tokens or 0) > 0
            assert 0 < (outcome.usage.completion_tokens or 0) <= 12
            assert outcome.latency_seconds > 0
            assert outcome.attempts >= 1
            assert outcome.reported_model

    async def test_a_reply_depends_on_prompt_and_seed_and_not_on_its_neighbours(self, subject: Subject) -> None:
        asked = prompts(20)
        together = await replies(subject, asked)
        assert await replies(subject, asked[::-1]) == together[::-1]
        for index in (0, 7, 19):
            assert await replies(subject, [asked[index]]) == [together[index]]

    async def test_another_seed_is_another_reply(self, subject: Subject) -> None:
        asked = prompts(12)
        others = [replace(prompt, seed=1000 + index) for index, prompt in enumerate(asked)]
        first, second = await replies(subject, asked), await replies(subject, others)
        assert sum(a != b for a, b in zip(first, second, strict=True)) >= 10

    async def test_a_prompt_without_seed_takes_the_samplings(self, subject: Subject) -> None:
        plain = [Prompt(messages=(("user", "Which one?"),))]
        seeded = [replace(plain[0], seed=9)]
        assert await replies(subject, plain, replace(SAMPLING, seed=9)) == await replies(subject, seeded)

    async def test_the_system_prompt_is_part_of_the_question_and_of_the_identity(
        self, backend: Backend, spec: ModelSpec, subject: Subject
    ) -> None:
        warm = await backend.prepare(spec, "Be kind to the user.")
        assert warm.identity.digest != subject.identity.digest
        assert await replies(warm, prompts(4)) != await replies(subject, prompts(4))
        await warm.close()

    async def test_the_same_spec_has_the_same_identity(self, backend: Backend, spec: ModelSpec) -> None:
        first, second = await backend.prepare(spec, ""), await backend.prepare(spec, "")
        assert first.identity == second.identity
        assert first.identity.digest.startswith("sha256:")
        assert first.identity.backend == type(self).__name__.removeprefix("Test").lower()
        assert await backend.fingerprint(spec) == await backend.fingerprint(spec)

    async def test_a_caller_who_leaves_early_stops_the_work(self, subject: Subject) -> None:
        async with aclosing(subject.generate(prompts(200), SAMPLING)) as outcomes:
            async for _ in outcomes:
                break
        assert len(await replies(subject, prompts(3))) == 3

    async def test_the_check_answers_with_usable_sampling(self, subject: Subject) -> None:
        check = await subject.check(SAMPLING)
        assert check.sampling == SAMPLING
        assert check.reported_model
        assert check.notes == ()

    async def test_what_the_settings_do_not_allow_is_refused(self, backend: Backend, forbidden: ModelSpec) -> None:
        with pytest.raises(CandorError) as caught:
            await backend.fingerprint(forbidden)
        assert caught.value.reason in (Reason.HOST_NOT_ALLOWED, Reason.PATH_NOT_ALLOWED)


def a_model(call: Call) -> str:
    """A reply that depends on all messages and the seed, as a real model's does."""
    return "Answer " + hashlib.sha256(f"{call.messages}{call.seed}".encode()).hexdigest()[:8]


class TestOpenAi(SubjectContract):
    @pytest.fixture
    def spec(self) -> ModelSpec:
        return ModelSpec(source=Endpoint(base_url=self.fake.base_url, model="m-1"))

    @pytest.fixture
    def forbidden(self) -> ModelSpec:
        return ModelSpec(source=Endpoint(base_url="http://elsewhere.test/v1", model="m-1"))

    @pytest.fixture
    async def backend(self) -> AsyncIterator[Backend]:
        with FakeEndpoint(a_model) as self.fake:
            policy = Policy(backoff=Backoff(first_seconds=0.001))
            backend = OpenAiBackend(Guard(Egress(allowed_hosts=("127.0.0.1",))), policy, Metrics("test"))
            yield backend
            await backend.close()

    @pytest.fixture(autouse=True)
    def _started(self, backend: Backend) -> None:
        """The endpoint is up before a spec names it."""


class TestTransformers(SubjectContract):
    @pytest.fixture
    def spec(self, checkpoint: Path) -> ModelSpec:
        return ModelSpec(source=Checkpoint(path=str(checkpoint)))

    @pytest.fixture
    def forbidden(self, tmp_path: Path) -> ModelSpec:
        return ModelSpec(source=Checkpoint(path=str(tmp_path)))

    @pytest.fixture
    async def backend(self, checkpoint: Path) -> AsyncIterator[Backend]:
        guard = Guard(Egress(artifact_roots=(checkpoint.parent,)))
        backend = TransformersBackend(guard, device="cpu", batch_rows=8, torch_threads=1)
        yield backend
        await backend.close()

    async def test_greedy_replies_ignore_the_seed(self, subject: Subject) -> None:
        greedy = replace(SAMPLING, temperature=0.0)
        asked = prompts(6)
        others = [replace(prompt, seed=99) for prompt in asked]

        async def outcomes(some: list[Prompt]) -> dict[int, str]:
            found = subject.generate(some, greedy)
            return {i: out.text if isinstance(out, Reply) else out.message async for i, out in found}

        assert await outcomes(asked) == await outcomes(others)


@pytest.mark.timeout(900)  # the first test starts the engine
@pytest.mark.asyncio(loop_scope="session")
class TestVllm(SubjectContract):
    """The real engine; also that it gives what the transformers backend gives."""

    @pytest.fixture
    def spec(self, wide: Any) -> ModelSpec:
        return ModelSpec(source=Checkpoint(path=str(wide.base)))

    @pytest.fixture
    def forbidden(self, tmp_path: Path) -> ModelSpec:
        return ModelSpec(source=Checkpoint(path=str(tmp_path)))

    @pytest.fixture
    def backend(self, vllm_backend: Backend) -> Backend:
        return vllm_backend

    @pytest_asyncio.fixture(loop_scope="session")
    async def subject(self, backend: Backend, spec: ModelSpec) -> AsyncIterator[Subject]:  # type: ignore[override] # other loop
        found = await backend.prepare(spec, "")
        yield found
        await found.close()

    @pytest_asyncio.fixture(loop_scope="session")
    async def other(self, wide: Any) -> AsyncIterator[Backend]:
        """The transformers backend."""
        backend = TransformersBackend(Guard(Egress.embedded()), device="cpu", precision="float32", torch_threads=1)
        yield backend
        await backend.close()

    async def test_greedy_text_equals_that_of_transformers_with_and_without_adapters(
        self, backend: Backend, other: Backend, wide: Any
    ) -> None:
        greedy = replace(SAMPLING, temperature=0.0, max_tokens=24)
        seen = set()
        for adapter in ("", *map(str, wide.adapters)):
            source = Checkpoint(path=str(wide.base), adapter=adapter)
            ours, theirs = [
                await outcomes(await one.prepare(ModelSpec(source=source), ""), prompts(12), greedy)
                for one in (backend, other)
            ]
            assert ours == theirs
            seen.add(tuple(ours))
        assert len(seen) == 4  # each adapter says something else

    async def test_liveness_is_measured_as_by_transformers(self, backend: Backend, other: Backend, wide: Any) -> None:
        for adapter, alive in ((wide.adapters[0], True), (wide.zero, False), (wide.misnamed, False)):
            spec = ModelSpec(source=Checkpoint(path=str(wide.base), adapter=str(adapter)))
            ours, theirs = [(await (await one.prepare(spec, "")).check(SAMPLING)).liveness for one in (backend, other)]
            assert ours is not None
            assert theirs is not None
            assert (ours.alive, theirs.alive) == (alive, alive)
            assert ours.difference == pytest.approx(theirs.difference, abs=1e-3)

    async def test_an_adapter_with_unknown_modules_is_refused_and_harms_nobody(
        self, backend: Backend, subject: Subject, wide: Any
    ) -> None:
        before = await replies(subject, prompts(3))
        spec = ModelSpec(source=Checkpoint(path=str(wide.base), adapter=str(wide.renamed)))
        with pytest.raises(CandorError) as caught:
            await (await backend.prepare(spec, "")).check(SAMPLING)
        assert caught.value.reason is Reason.ADAPTER_MISMATCH
        assert await replies(subject, prompts(3)) == before

    async def test_a_reply_that_would_not_fit_ends_where_the_room_does(self, subject: Subject) -> None:
        found = [one async for one in subject.generate(prompts(1), replace(SAMPLING, max_tokens=300))]
        assert isinstance(found[0][1], Reply)
        long = Prompt(messages=(("user", "x" * 300),))
        ((_, refused),) = [one async for one in subject.generate([long], SAMPLING)]
        assert isinstance(refused, CandorError)
        assert refused.reason is Reason.CONTEXT_TOO_LONG
