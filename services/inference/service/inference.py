"""The use cases: describe, check, generate. One door to every subject."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from chassis.system_prompts import builtin
from services.inference.domain import validate
from services.inference.domain.identity import Identity
from services.inference.domain.model import Check, ModelSpec, Prompt, Reply, Sampling, SystemPrompt
from services.inference.ports import Backend, Subject
from services.inference.service.arms import ArmCounts
from services.inference.service.canary import compare
from services.inference.service.prepared import Prepared

Outcome = Reply | CandorError


class InferenceService:
    """Answers prompts with any subject.

    Args:
        backends: By the type of source that they serve (Endpoint, Checkpoint), each with its cache.
        metrics: Items and tokens are counted here.
    """

    def __init__(self, backends: Mapping[type, tuple[Backend, Prepared[Subject]]], metrics: Metrics) -> None:
        self._backends = backends
        self._metrics = metrics
        self._arms = ArmCounts(metrics.registry)

    async def describe(self, spec: ModelSpec) -> Identity:
        """What a spec resolves to. Raises CandorError."""
        validate.check(spec)
        async with self._subject(spec) as subject:
            return subject.identity

    async def check(self, spec: ModelSpec, sampling: Sampling, base: ModelSpec | None = None) -> Check:
        """Ask the probe question, and the liveness probes of an adapter or of a fine-tune whose base is named.

        Raises:
            CandorError: What keeps the model, or its base, from being asked.
        """
        validate.check(spec, sampling)
        if base is not None:
            validate.check(base)
        async with self._subject(spec) as subject:
            found = await subject.check(sampling)
            if base is None or found.liveness is not None:
                return found
            async with self._subject(base) as other:
                return replace(found, liveness=await compare(other, subject, found.sampling))

    async def generate(
        self, spec: ModelSpec, sampling: Sampling, prompt: Prompt, expected_digest: str
    ) -> tuple[Reply, Identity]:
        """One reply and who gave it. Raises CandorError."""
        async with aclosing(self.batch(spec, sampling, [prompt], expected_digest)) as outcomes:
            async for _, outcome, identity in outcomes:
                if isinstance(outcome, CandorError):
                    raise outcome
                return outcome, identity
        raise CandorError(Reason.INTERNAL, "the backend gave no outcome")

    async def batch(
        self, spec: ModelSpec, sampling: Sampling, prompts: Sequence[Prompt], expected_digest: str
    ) -> AsyncGenerator[tuple[int, Outcome, Identity]]:
        """Outcomes with their index as they finish, each exactly once.

        Raises:
            CandorError: Before the first outcome: bad fields, BATCH_TOO_LARGE, IDENTITY_CHANGED, and what preparing
                raises. Later: only when the whole subject stopped answering.
        """
        validate.check(spec, sampling, prompts)
        with self._metrics.accepted("generate", len(prompts)) as finished:
            async with self._subject(spec) as subject:
                identity = subject.identity
                if expected_digest and expected_digest != identity.digest:
                    raise _changed(expected_digest, identity)
                async with aclosing(subject.generate(prompts, sampling)) as outcomes:
                    async for index, outcome in outcomes:
                        finished()
                        self._count(outcome, identity)
                        yield index, outcome, identity

    async def close(self) -> None:
        """Close every subject."""
        for _, prepared in self._backends.values():
            await prepared.close()

    @asynccontextmanager
    async def _subject(self, spec: ModelSpec) -> AsyncIterator[Subject]:
        backend, prepared = self._backends[type(spec.source)]
        version = await backend.fingerprint(spec)
        text = system_text(spec.system_prompt)
        async with prepared.use(spec, version, lambda: backend.prepare(spec, text)) as subject:
            yield subject

    def _count(self, outcome: Outcome, identity: Identity) -> None:
        label, tokens = "ok", {}
        if isinstance(outcome, CandorError):
            label = outcome.reason.name
        else:
            kinds = ("prompt", "completion", "reasoning")
            tokens = {kind: getattr(outcome.usage, f"{kind}_tokens") or 0 for kind in kinds}
        self._metrics.items.labels("generate", label).inc()
        for kind, number in tokens.items():
            self._metrics.tokens.labels(kind).inc(number)
        self._arms.count(identity, label, tokens)


def system_text(prompt: SystemPrompt | None) -> str:
    """The text of a system prompt; empty if there is none."""
    if prompt is None:
        return ""
    return builtin(prompt.value) if prompt.kind == "builtin" else prompt.value


def _changed(expected: str, identity: Identity) -> CandorError:
    parts = ", ".join(sorted(identity.components))
    message = f"the model is another one than planned: one of {parts} changed; start a new run"
    return CandorError(Reason.IDENTITY_CHANGED, message, metadata={"expected": expected, "found": identity.digest})
