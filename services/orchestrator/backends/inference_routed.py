"""Sends each subject to the inference service that serves its class of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePath

from chassis.errors import CandorError, Reason
from services.orchestrator.domain.spec import Arm, Checkpoint, Endpoint, Sampling
from services.orchestrator.ports import Check, Identity, Inference, Prompt, Reply

ANY = "*"


class RoutedInference:
    """Implements `ports.Inference` over several.

    Args:
        targets: By class of models: `endpoint`; a checkpoint's folder or one of its parents; `checkpoint`; `*` for all.
    """

    def __init__(self, targets: Mapping[str, Inference]) -> None:
        self._targets = targets

    def check_target(self, arm: Arm) -> None:
        """See ports."""
        self._target(arm)

    async def describe(self, arm: Arm) -> Identity:
        """See ports."""
        return await self._target(arm).describe(arm)

    async def check(self, arm: Arm, sampling: Sampling, base: Arm | None = None) -> Check:
        """See ports."""
        return await self._target(arm).check(arm, sampling, base)

    def generate(
        self, arm: Arm, sampling: Sampling, digest: str, prompts: Sequence[Prompt]
    ) -> AsyncIterator[tuple[int, Reply | CandorError]]:
        """See ports."""
        return self._target(arm).generate(arm, sampling, digest, prompts)

    def _target(self, arm: Arm) -> Inference:
        classes = _classes(arm)
        for name in classes:
            if name in self._targets:
                return self._targets[name]
        what = f"the checkpoint {arm.source.path}" if isinstance(arm.source, Checkpoint) else "endpoints"
        known = ", ".join(sorted(self._targets)) or "none"
        message = (
            f"arm {arm.name}: no inference service is set up for {what} (set up: {known}); the operator adds one to "
            "CANDOR_ORCHESTRATOR_INFERENCE_TARGETS"
        )
        raise CandorError(Reason.NO_TARGET, message)


def _classes(arm: Arm) -> list[str]:
    """Names under which a target may be set up, the most special one first."""
    if isinstance(arm.source, Endpoint):
        return ["endpoint", ANY]
    assert isinstance(arm.source, Checkpoint), f"{arm.name} is not made yet"
    path = PurePath(arm.source.path)
    return [str(path), *(str(parent) for parent in path.parents), "checkpoint", ANY]
