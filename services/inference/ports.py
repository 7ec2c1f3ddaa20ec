"""What the inference service needs from the world. Backends implement these; tests bring fakes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable, Sequence
from typing import Protocol

from chassis.errors import CandorError
from services.inference.domain.identity import Identity
from services.inference.domain.model import Check, ModelSpec, Prompt, Reply, Sampling


class WholeSubjectError(CandorError):
    """No prompt can be answered any more (endpoint gone, key refused): ends a batch instead of being an item error."""


class Subject(Protocol):
    """A model that was made ready."""

    @property
    def identity(self) -> Identity:
        """What answers."""
        ...

    async def check(self, sampling: Sampling) -> Check:
        """Ask one probe question, and the liveness probes of an adapter. Raises CandorError."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> AsyncGenerator[tuple[int, Reply | CandorError]]:
        """Outcomes in the order they finish, each index exactly once. An async generator; closing it stops the work.

        A prompt's reply depends on the prompt, its seed and the sampling, never on the other prompts.

        Raises:
            WholeSubjectError: The rest of the batch would fail in the same way.
        """
        ...

    async def close(self) -> None:
        """Free what it holds; nothing is asked of it afterwards."""
        ...


class Backend(Protocol):
    """One kind of subject. A spec is checked against the settings each time, and made ready once."""

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        """What may change under an unchanged spec (files, a rotated key): another value prepares anew.

        Raises:
            CandorError: The spec may not be used here (host, path, credential), or does not exist.
        """
        ...

    async def prepare(self, spec: ModelSpec, system_text: str) -> Subject:
        """Make a subject ready; weights may be loaded at the first prompt. Raises CandorError."""
        ...
