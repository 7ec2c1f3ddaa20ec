"""Fine-tuning at a provider: the server of ours, a real HTTP server with the provider's schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from candor.trainer.v1 import trainer_pb2 as pb

from chassis.clients import translated
from chassis.errors import CandorError, Reason
from chassis.testing import FakeEndpoint
from chassis.testing.fake_finetuning import FakeFineTuning


@pytest.fixture
def provider() -> Iterator[FakeFineTuning]:
    with FakeFineTuning() as server:
        yield server


@pytest.fixture
async def trainer(serve: Any, tmp_path: Path) -> AsyncIterator[Any]:
    async with serve(tmp_path, poll_seconds=0.01) as stub:
        yield stub


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    data = tmp_path / "train.jsonl"
    line = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    data.write_text("".join(json.dumps(line) + "\n" for _ in range(32)), "utf-8")

    def make(provider: FakeFineTuning, **given: Any) -> pb.CreateTrainingJobRequest:
        spec = pb.TrainingSpec(
            dataset=str(data),
            dataset_digest="sha256:" + hashlib.sha256(data.read_bytes()).hexdigest(),
            executor="openai",
            training=pb.TrainingSettings(epochs=2, batch_size=16, seed=7),
            provider=pb.ProviderSettings(learning_rate_multiplier=0.25, suffix="warm", **given),
        )
        spec.provider.endpoint.base_url = provider.base_url
        spec.provider.endpoint.model = "gpt-small"
        return pb.CreateTrainingJobRequest(spec=spec)

    return make


async def finished(trainer: Any, watch: Any, job: pb.TrainingJob) -> tuple[pb.TrainingJob, Sequence[pb.TrainingEvent]]:
    events = await watch(trainer, job.name)
    return await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name)), events


async def test_a_job_is_uploaded_created_and_followed_to_the_providers_models(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any, tmp_path: Path
) -> None:
    job, events = await finished(trainer, watch, await trainer.CreateTrainingJob(request_of(provider)))
    assert job.state == "SUCCEEDED"
    assert list(provider.files.values()) == [(tmp_path / "train.jsonl").read_bytes()]
    (theirs,) = provider.jobs.values()
    assert theirs["hyperparameters"] == {"n_epochs": 2, "batch_size": 16, "learning_rate_multiplier": 0.25}
    assert (theirs["model"], theirs["seed"], theirs["suffix"]) == ("gpt-small", 7, "warm")
    assert [(saved.epoch, saved.step, saved.model) for saved in job.checkpoints] == [
        (1, 2, "ft:gpt-small:ftjob-1:ckpt-step-2"),
        (2, 4, "ft:gpt-small:ftjob-1"),
    ]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert 1.5 in [event.progress.loss for event in events]


@pytest.mark.parametrize("metadata", [True, False], ids=["metadata is kept", "no metadata is kept"])
async def test_a_lost_answer_to_the_creation_does_not_pay_the_job_twice(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any, *, metadata: bool
) -> None:
    provider.keeps_metadata = metadata
    provider.lose_answer_to = "POST /fine_tuning/jobs"
    request = request_of(provider)
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    assert (job.state, job.failure_reason) == ("FAILED", "ENDPOINT_UNAVAILABLE")
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    assert job.state == "SUCCEEDED"
    assert len(provider.jobs) == 1
    assert len(provider.files) == 1


async def test_a_job_behind_many_newer_ones_is_found_and_not_paid_twice(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any
) -> None:
    provider.page = 2
    provider.lose_answer_to = "POST /fine_tuning/jobs"
    request = request_of(provider)
    await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    for number in range(5):
        other = {"id": f"other-{number}", "status": "succeeded", "model": "m", "metadata": None}
        provider.jobs[other["id"]] = other
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    assert (job.state, job.provider_job) == ("SUCCEEDED", "ftjob-1")
    assert len(provider.jobs) == 6


async def test_a_file_that_the_provider_refuses_is_told_in_its_words(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any
) -> None:
    provider.refuse_file = "the file has too few examples"
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request_of(provider)))
    assert (job.state, job.failure_reason) == ("FAILED", "ENDPOINT_REFUSED")
    assert "the file has too few examples" in job.reason
    assert not provider.jobs


async def test_an_endpoint_without_a_fine_tuning_api_is_told_with_the_mend(
    trainer: Any, request_of: Any, watch: Any
) -> None:
    with FakeEndpoint() as endpoint:
        job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request_of(endpoint)))
    assert (job.state, job.failure_reason) == ("FAILED", "ENDPOINT_REFUSED")
    assert "has no fine-tuning API under /v1; name an endpoint whose provider fine-tunes" in job.reason


async def test_only_settings_that_were_given_in_vain_are_warned_of(
    trainer: Any, provider: FakeFineTuning, request_of: Any
) -> None:
    request = request_of(provider)
    assert not (await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=request.spec))).warnings
    request.spec.lora.r = 4
    (warning,) = (await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=request.spec))).warnings
    assert "lora" in warning


async def test_jobs_at_a_provider_do_not_wait_for_each_other(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any
) -> None:
    provider.hold = True
    for seed in (1, 2):
        request = request_of(provider)
        request.spec.training.seed = seed
        job = await trainer.CreateTrainingJob(request)
        await watch(trainer, job.name, lambda event: event.message.startswith("job ftjob-"))
    assert len(provider.jobs) == 2


async def test_busy_answers_are_waited_out(trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any) -> None:
    provider.faults = [429, 503, 429]
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request_of(provider)))
    assert job.state == "SUCCEEDED"
    assert len(provider.jobs) == 1


async def test_a_job_that_the_provider_fails_says_why(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any
) -> None:
    provider.end_as = "failed"
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request_of(provider)))
    assert (job.state, job.failure_reason) == ("FAILED", "TRAINING_FAILED")
    assert "the file is too short" in job.reason


async def test_a_wrong_key_is_told_and_never_shown(
    trainer: Any, request_of: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNING_KEY", "sk-secret")
    with FakeFineTuning(key="another") as provider:
        request = request_of(provider)
        request.spec.provider.endpoint.api_key_env = "TUNING_KEY"
        job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    assert job.failure_reason == "ENDPOINT_UNAUTHENTICATED"
    assert "sk-secret" not in str(job)


async def test_cancelling_cancels_at_the_provider_and_another_try_is_another_job(
    trainer: Any, provider: FakeFineTuning, request_of: Any, watch: Any
) -> None:
    provider.hold = True
    request = request_of(provider)
    job = await trainer.CreateTrainingJob(request)
    await watch(trainer, job.name, lambda event: event.message.startswith("job ftjob-1"))
    cancelled = await trainer.CancelTrainingJob(pb.CancelTrainingJobRequest(name=job.name))
    assert cancelled.state == "CANCELLED"
    assert provider.jobs["ftjob-1"]["status"] == "cancelled"
    provider.hold = False
    job, _ = await finished(trainer, watch, await trainer.CreateTrainingJob(request))
    assert job.state == "SUCCEEDED"
    assert list(provider.jobs) == ["ftjob-1", "ftjob-2"]
    assert len(provider.files) == 1


async def test_a_server_that_stops_leaves_the_providers_job_alone_and_the_next_one_follows_it(
    serve: Any, provider: FakeFineTuning, request_of: Any, watch: Any, tmp_path: Path
) -> None:
    provider.hold = True
    async with serve(tmp_path, poll_seconds=0.01) as first:
        job = await first.CreateTrainingJob(request_of(provider))
        await watch(first, job.name, lambda event: event.message.startswith("job ftjob-1"))
    assert provider.jobs["ftjob-1"]["status"] == "validating_files"
    provider.hold = False
    async with serve(tmp_path, poll_seconds=0.01) as second:
        job, _ = await finished(second, watch, job)
    assert job.state == "SUCCEEDED"
    assert len(provider.jobs) == 1


async def test_fields_that_only_a_provider_has_are_checked(
    trainer: Any, provider: FakeFineTuning, request_of: Any
) -> None:
    request = request_of(provider)
    request.spec.training.epochs = 1.5
    request.spec.provider.endpoint.model = ""
    request.spec.provider.learning_rate_multiplier = 0
    with pytest.raises(CandorError) as caught, translated("trainer"):
        await trainer.CreateTrainingJob(request)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert {violation.field for violation in caught.value.violations} == {
        "spec.training.epochs",
        "spec.provider.endpoint.model",
        "spec.provider.learning_rate_multiplier",
    }
