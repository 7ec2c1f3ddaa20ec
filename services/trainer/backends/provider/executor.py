"""The `openai` executor: a job at a provider's fine-tuning API, found again after a crash, never started twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from chassis.egress import Guard
from chassis.errors import CandorError, Reason
from chassis.llm.wire import Http
from chassis.text import plain
from services.trainer.backends.provider.api import Api
from services.trainer.domain.conversations import bad, read
from services.trainer.domain.job import Job, Progress, Saved
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.schedule import plan
from services.trainer.domain.spec import Lora, Provider, Training, TrainingSpec
from services.trainer.ports import Done, Kept, Noted, Report, Started, Stepped

_FIELD = "spec.provider.endpoint"
# Under this name the provider keeps our job's id with its own.
_METADATA = "candor_job"


class ProviderExecutor:
    """Trains at a provider.

    Args:
        guard: Which hosts may be called and with which keys.
        poll_seconds: How often a job is looked at.
    """

    def __init__(self, guard: Guard, poll_seconds: float = 15.0) -> None:
        self._guard = guard
        self._poll_seconds = poll_seconds
        self._http = Http(guard.addresses)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def check(self, spec: TrainingSpec) -> Preflight:
        """See the port: the data and the way to the provider; tokens and memory are the provider's affair."""
        await self._api(spec)
        conversations = await asyncio.to_thread(_count, spec.dataset)
        shape = plan(spec.training, conversations)
        return Preflight(
            conversations=conversations,
            steps=shape.steps,
            steps_per_epoch=shape.steps_per_epoch,
            device=_provider(spec).base_url,
            template="provider",
            warnings=tuple(_idle(spec)),
        )

    async def run(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncGenerator[Report]:  # noqa: ARG002 -- the port
        """See the port."""
        api = await self._api(job.spec)
        file = job.resume.get("file", "")
        theirs = await self._theirs(api, job)
        if theirs is None:
            if not file:
                file = await api.upload(Path(job.spec.dataset))
                yield Noted({"file": file})
            theirs = await api.create(_request(job, file))
        yield Noted({"job": str(theirs["id"])})
        yield Started(0, _who(job, theirs), f"job {theirs['id']} at the provider")
        told: set[str] = {saved.model for saved in job.checkpoints}
        progress = Progress()
        while True:
            newer = await self._progress(api, job, theirs)
            if newer != progress:
                progress = newer
                yield Stepped(progress)
            for saved in await self._saved(api, job, theirs, progress):
                if saved.model not in told:
                    told.add(saved.model)
                    yield Kept(saved)
            if theirs["status"] == "succeeded":
                yield Done()
                return
            if theirs["status"] in ("failed", "cancelled"):
                raise _failed(theirs)
            if await _stopped(stop, self._poll_seconds):
                return
            theirs = await api.get(str(theirs["id"]))

    def reopen(self, job: Job, folder: Path) -> bool:  # noqa: ARG002 -- the port's signature
        """See the port: what a provider keeps is not ours to look after."""
        return False

    async def abandon(self, job: Job) -> None:
        """See the port: the provider's job is cancelled."""
        if theirs := job.resume.get("job"):
            await (await self._api(job.spec)).cancel(theirs)

    async def _api(self, spec: TrainingSpec) -> Api:
        provider = _provider(spec)
        await self._guard.check_url(provider.base_url, f"{_FIELD}.base_url")
        key = self._guard.key(provider.base_url, provider.credential, provider.api_key_env, _FIELD)
        return Api(
            provider.base_url, key.get_secret_value(), self._http, first_wait_seconds=min(1.0, self._poll_seconds)
        )

    async def _theirs(self, api: Api, job: Job) -> dict[str, Any] | None:
        """The provider's job that an earlier run started and that is still of use."""
        if not (known := job.resume.get("job")):
            return await api.find(_METADATA, job.id, job.resume.get("file", ""))
        theirs = await api.get(known)
        return None if theirs["status"] in ("failed", "cancelled") else theirs

    async def _progress(self, api: Api, job: Job, theirs: dict[str, Any]) -> Progress:
        metrics = await api.metrics(str(theirs["id"]))
        steps = int(metrics.get("total_steps") or job.preflight.steps)
        step = steps if theirs["status"] == "succeeded" else int(metrics.get("step") or 0)
        return Progress(
            step=step,
            steps=steps,
            epoch=step / steps * int(job.spec.training.epochs) if steps else 0.0,
            loss=metrics.get("train_loss"),
            trained_tokens=int(theirs.get("trained_tokens") or 0),
        )

    async def _saved(self, api: Api, job: Job, theirs: dict[str, Any], progress: Progress) -> list[Saved]:
        epochs = int(job.spec.training.epochs)
        found = [
            Saved(
                epoch=round(step * epochs / progress.steps, 3) if progress.steps else 0.0,
                step=step,
                loss=(checkpoint.get("metrics") or {}).get("train_loss"),
                model=str(checkpoint["fine_tuned_model_checkpoint"]),
            )
            for checkpoint in await api.checkpoints(str(theirs["id"]))
            if (step := int(checkpoint["step_number"]))
        ]
        if theirs["status"] == "succeeded" and theirs.get("fine_tuned_model"):
            model = str(theirs["fine_tuned_model"])
            found = [saved for saved in found if saved.step != progress.steps]
            found.append(Saved(epoch=float(epochs), step=progress.steps, loss=progress.loss, model=model))
        return sorted(found, key=lambda saved: saved.step)


def _provider(spec: TrainingSpec) -> Provider:
    assert spec.provider is not None, "validated before"
    return spec.provider


def _count(dataset: str) -> int:
    try:
        with Path(dataset).open(encoding="utf-8") as file:
            return len(read(file))
    except UnicodeDecodeError as error:
        raise bad("is not UTF-8 text") from error


def _idle(spec: TrainingSpec) -> Iterator[str]:
    """Settings that were given and that no provider takes."""
    training = spec.training
    taken = Training(epochs=training.epochs, batch_size=training.batch_size, seed=training.seed)
    if spec.lora != Lora() or training != taken:
        yield "lora, learning_rate and the other training settings but epochs, batch_size and seed do not apply"


def _who(job: Job, theirs: dict[str, Any]) -> dict[str, str]:
    """What trained: the API, and its base as it names it."""
    provider = _provider(job.spec)
    return {"provider": provider.base_url, "base": plain(str(theirs.get("model") or provider.model))[:200]}


def _request(job: Job, file: str) -> dict[str, Any]:
    provider, training = _provider(job.spec), job.spec.training
    settings: dict[str, Any] = {"n_epochs": int(training.epochs), "batch_size": training.batch_size}
    if provider.learning_rate_multiplier is not None:
        settings["learning_rate_multiplier"] = provider.learning_rate_multiplier
    return {
        "model": provider.model,
        "training_file": file,
        "seed": training.seed,
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}},
        "metadata": {_METADATA: job.id},
        **({"suffix": provider.suffix} if provider.suffix else {}),
    }


def _failed(theirs: dict[str, Any]) -> CandorError:
    said = plain(str((theirs.get("error") or {}).get("message") or "no reason given"))[:300]
    return CandorError(Reason.TRAINING_FAILED, f"the provider's job {theirs['id']} is {theirs['status']}: {said}")


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, but not longer than until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
