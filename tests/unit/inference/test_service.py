"""The use cases over a fake backend."""

from collections.abc import AsyncGenerator, Hashable, Sequence
from dataclasses import replace

import pytest

from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from chassis.system_prompts import builtin
from services.inference.domain.identity import Identity, of_endpoint
from services.inference.domain.model import (
    Check,
    Endpoint,
    ModelSpec,
    Prompt,
    Reply,
    Sampling,
    SystemPrompt,
    Usage,
)
from services.inference.ports import Subject
from services.inference.service.inference import InferenceService
from services.inference.service.prepared import Prepared

SPEC = ModelSpec(source=Endpoint(base_url="http://a/v1", model="m"))
PROMPTS = [Prompt(messages=(("user", text),)) for text in ("good", "bad", "good")]


class FakeSubject:
    """Answers `good`, fails on `bad`."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    async def check(self, sampling: Sampling) -> Check:
        return Check(sampling=replace(sampling, omit=("seed",)), reported_model="m")

    async def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> AsyncGenerator[tuple[int, Reply | CandorError]]:
        for index, prompt in enumerate(prompts):
            if prompt.messages[-1][1] == "bad":
                yield index, CandorError(Reason.EMPTY_REPLY, "nothing")
            else:
                yield index, Reply(text="fine", finish_reason="stop", usage=Usage(completion_tokens=3))

    async def close(self) -> None:
        """Holds nothing."""


class FakeBackend:
    def __init__(self) -> None:
        self.version = 1
        self.system_texts: list[str] = []

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        return self.version

    async def prepare(self, spec: ModelSpec, system_text: str) -> Subject:
        self.system_texts.append(system_text)
        assert isinstance(spec.source, Endpoint)
        return FakeSubject(of_endpoint(spec.source, f"v{self.version}", system_text))


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def service(backend: FakeBackend, metrics: Metrics) -> InferenceService:
    return InferenceService({Endpoint: (backend, Prepared(2))}, metrics)


async def test_a_batch_gives_each_outcome_with_the_identity_and_counts_it(
    service: InferenceService, metrics: Metrics
) -> None:
    identity = await service.describe(SPEC)
    found = [outcome async for outcome in service.batch(SPEC, Sampling(), PROMPTS, identity.digest)]
    assert [index for index, _, _ in found] == [0, 1, 2]
    assert {who.digest for _, _, who in found} == {identity.digest}

    def count(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert count("candor_items_total", operation="generate", outcome="ok") == 2
    assert count("candor_items_total", operation="generate", outcome="EMPTY_REPLY") == 1
    assert count("candor_tokens_total", kind="completion") == 6


async def test_one_reply_is_a_batch_of_one(service: InferenceService) -> None:
    reply, _ = await service.generate(SPEC, Sampling(), PROMPTS[0], "")
    assert reply.text == "fine"
    with pytest.raises(CandorError) as caught:
        await service.generate(SPEC, Sampling(), PROMPTS[1], "")
    assert caught.value.reason is Reason.EMPTY_REPLY


async def test_a_model_other_than_planned_is_refused_before_any_call(
    service: InferenceService, backend: FakeBackend
) -> None:
    planned = (await service.describe(SPEC)).digest
    backend.version = 2
    with pytest.raises(CandorError) as caught:
        await anext(service.batch(SPEC, Sampling(), PROMPTS, planned))
    assert caught.value.reason is Reason.IDENTITY_CHANGED
    assert caught.value.metadata["expected"] == planned


async def test_system_prompts_are_resolved(service: InferenceService, backend: FakeBackend) -> None:
    for prompt in (None, SystemPrompt(kind="text", value="Be brief."), SystemPrompt(kind="builtin", value="warm")):
        await service.describe(replace(SPEC, system_prompt=prompt))
    assert backend.system_texts == ["", "Be brief.", builtin("warm")]


async def test_the_check_passes_on_what_the_probe_found(service: InferenceService) -> None:
    assert (await service.check(SPEC, Sampling())).sampling.omit == ("seed",)


async def test_bad_requests_reach_no_backend(service: InferenceService, backend: FakeBackend) -> None:
    with pytest.raises(CandorError):
        await service.describe(ModelSpec(source=None))
    with pytest.raises(CandorError):
        await service.check(SPEC, Sampling(temperature=9))
    assert backend.system_texts == []
