"""Jobs through their lives, with an executor that makes a step when it is told to."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.trainer.backends import store_files
from services.trainer.backends.store_files import FileJobs
from services.trainer.domain.job import Event
from services.trainer.domain.spec import TrainingSpec
from services.trainer.service.trainer import TrainerService

Make = Callable[..., TrainerService]
Spec = Callable[..., TrainingSpec]


async def all_events(service: TrainerService, name: str, after: int = 0) -> Sequence[Event]:
    async with asyncio.timeout(10):
        return [event async for event in service.watch(name, after)]


async def until(service: TrainerService, name: str, step: int) -> None:
    async with asyncio.timeout(10):
        async for event in service.watch(name, 0):
            if event.progress.step >= step:
                return


async def test_a_job_is_told_from_its_first_event_to_its_last_without_gaps(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    executor.allow()
    job = await service.create(spec_of())
    events = await all_events(service, job.name)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [events[0].state, events[-1].state] == ["PENDING", "SUCCEEDED"]
    assert [saved.epoch for saved in service.get(job.name).checkpoints] == [1, 2, 3]
    assert await all_events(service, job.name, after=len(events) - 2) == events[-2:]


async def test_two_watchers_see_the_same_and_one_that_goes_disturbs_nobody(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    executor.allow(1)
    await until(service, job.name, 1)
    watchers = [asyncio.create_task(all_events(service, job.name)) for _ in range(2)]
    executor.allow()
    first, second = await asyncio.gather(*watchers)
    assert first == second


async def test_one_spec_is_one_job_even_when_it_is_created_twice_at_once(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    one, two = await asyncio.gather(service.create(spec_of()), service.create(spec_of()))
    assert one.name == two.name
    executor.allow()
    await all_events(service, one.name)
    assert executor.most == 1
    before = service.get(one.name).updated
    assert (await service.create(spec_of())).updated == before


async def test_jobs_wait_for_their_turn_and_a_waiting_one_can_be_cancelled(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    jobs = [await service.create(spec_of(number)) for number in range(3)]
    executor.allow(1)
    await until(service, jobs[0].name, 1)
    assert [service.get(job.name).state.value for job in jobs] == ["RUNNING", "PENDING", "PENDING"]
    assert (await service.cancel(jobs[1].name)).state == "CANCELLED"
    executor.allow()
    await all_events(service, jobs[2].name)
    assert [service.get(job.name).state.value for job in jobs] == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    assert executor.most == 1
    listed, token = service.list(2, "")
    assert [job.id for job in listed] == [jobs[2].id, jobs[1].id]
    assert [job.id for job in service.list(2, token)[0]] == [jobs[0].id]


async def test_a_cancelled_job_goes_on_from_where_it_was(make_service: Make, executor: Any, spec_of: Spec) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    executor.allow(2)
    await until(service, job.name, 2)
    assert (await service.cancel(job.name)).state == "CANCELLED"
    assert executor.abandoned == [job.id]
    executor.allow()
    await service.create(spec_of())
    events = await all_events(service, job.name)
    assert "goes on after step 2" in [event.message for event in events]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


async def test_a_checkpoint_that_a_worker_tells_of_again_is_no_news(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    executor.allow(2)
    await until(service, job.name, 2)
    await service.cancel(job.name)
    executor.again = True
    executor.allow()
    await service.create(spec_of())
    messages = [event.message for event in await all_events(service, job.name)]
    assert [message for message in messages if message.startswith("checkpoint")] == [
        "checkpoint at epoch 1 (step 1)",
        "checkpoint at epoch 2 (step 2)",
        "checkpoint at epoch 3 (step 3)",
    ]


async def test_steps_that_a_killed_server_never_heard_of_are_told_by_the_next_worker_and_no_others(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    executor.allow(1)
    await until(service, job.name, 1)
    await service.cancel(job.name)
    executor.recalls = 2
    executor.allow()
    await service.create(spec_of())
    events = await all_events(service, job.name)
    assert sorted({event.progress.step: event.progress.loss for event in events if event.progress.loss}) == [1, 2, 3]
    told = [event.progress.step for event in events if not event.message and event.progress.loss]
    assert told == sorted(told)
    assert told.count(1) == 1, "what was known is not told again"
    await service.close()


async def test_a_failed_job_says_why_and_goes_on_when_it_is_created_again(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    executor.fails = CandorError(Reason.OUT_OF_MEMORY, "out of memory")
    executor.allow()
    job = await service.create(spec_of())
    await all_events(service, job.name)
    failed = service.get(job.name)
    assert (failed.state, failed.reason, failed.failure_reason) == ("FAILED", "out of memory", "OUT_OF_MEMORY")
    await service.create(spec_of())
    assert (await all_events(service, job.name))[-1].state == "SUCCEEDED"
    assert (service.get(job.name).reason, service.get(job.name).failure_reason) == ("", "")


async def test_a_server_that_stops_leaves_its_jobs_unfinished_and_the_next_takes_them_up(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    first, second = [await service.create(spec_of(number)) for number in range(2)]
    executor.allow(1)
    await until(service, first.name, 1)
    await service.close()
    assert executor.abandoned == []
    executor.allow()
    restarted = make_service(executor)
    assert await restarted.ready()
    for job in (first, second):
        events = await all_events(restarted, job.name)
        assert events[-1].state == "SUCCEEDED"
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert executor.checks == 2


async def test_a_running_job_is_not_deleted_and_a_deleted_one_is_gone(
    make_service: Make, executor: Any, spec_of: Spec, tmp_path: Path
) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    with pytest.raises(CandorError) as caught:
        await service.delete(job.name)
    assert caught.value.reason is Reason.TRAINING_JOB_RUNNING
    await service.cancel(job.name)
    await service.delete(job.name)
    with pytest.raises(CandorError) as caught:
        service.get(job.name)
    assert caught.value.reason is Reason.TRAINING_JOB_NOT_FOUND
    assert list((tmp_path / "training").iterdir()) == []


async def test_a_full_disk_refuses_a_job_and_nothing_of_it_stays(
    make_service: Make, executor: Any, spec_of: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    service = make_service(executor)
    with monkeypatch.context() as patch:
        patch.setattr(store_files.os, "fsync", full)
        with pytest.raises(CandorError) as caught:
            await service.create(spec_of())
    assert caught.value.reason is Reason.DISK_FULL
    assert service.list(0, "") == ([], "")
    executor.allow()
    job = await service.create(spec_of())
    assert (await all_events(service, job.name))[-1].state == "SUCCEEDED"


async def test_a_disk_that_fills_while_training_fails_the_job_and_the_next_server_takes_it_up(
    make_service: Make, executor: Any, spec_of: Spec, monkeypatch: pytest.MonkeyPatch, store: FileJobs
) -> None:
    service = make_service(executor, store=store)
    job = await service.create(spec_of())
    executor.allow(1)
    await until(service, job.name, 1)

    def full(*_: object) -> None:
        raise CandorError(Reason.DISK_FULL, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "save", full)
        patch.setattr(store, "append", full)
        executor.allow()
        watching = asyncio.create_task(all_events(service, job.name))
        await watching
    assert service.get(job.name).failure_reason == "DISK_FULL"
    restarted = make_service(executor)
    assert await restarted.ready()
    assert (await all_events(restarted, job.name))[-1].state == "SUCCEEDED"


async def test_a_defect_ends_the_job_so_that_nobody_waits_for_ever(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    executor.fails = RuntimeError("a defect")
    executor.allow()
    job = await service.create(spec_of())
    assert (await all_events(service, job.name))[-1].state == "FAILED"
    assert service.get(job.name).failure_reason == "INTERNAL"
    await service.create(spec_of())
    assert (await all_events(service, job.name))[-1].state == "SUCCEEDED"


async def test_an_unfinished_job_that_cannot_be_taken_up_fails_and_may_be_created_again(
    make_service: Make, executor: Any, spec_of: Spec, store: FileJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(executor)
    job = await service.create(spec_of())
    await service.close()

    def full(*_: object) -> None:
        raise CandorError(Reason.DISK_FULL, "no space left")

    restarted = make_service(executor, store=store)
    with monkeypatch.context() as patch:
        patch.setattr(store, "save", full)
        assert await restarted.ready()
    assert restarted.get(job.name).failure_reason == "DISK_FULL"
    executor.allow()
    await restarted.create(spec_of())
    assert (await all_events(restarted, job.name))[-1].state == "SUCCEEDED"


def test_an_event_that_a_crash_cut_off_is_dropped_and_its_number_given_again(
    store: FileJobs, spec_of: Spec, tmp_path: Path
) -> None:
    from services.trainer.domain.job import Job

    job = Job(id="a", spec=spec_of())
    store.save(job)
    store.append(job, "one")
    store.append(job, "two")
    with (tmp_path / "training/a/events.jsonl").open("a") as file:
        file.write('{"sequence": 3, "ti')
    restarted = FileJobs(tmp_path)
    assert restarted.append(job, "three").sequence == 3
    events, end = restarted.events("a", 0)
    assert [event.message for event in events] == ["one", "two", "three"]
    assert restarted.events("a", end) == ([], end)
    assert [known.spec for known in restarted.load()] == [job.spec]


async def test_a_finished_job_that_lost_an_adapter_runs_again_when_it_is_created_again(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor)
    executor.allow(10)
    job = await service.create(spec_of())
    await all_events(service, job.name)
    assert (await service.create(spec_of())).state == "SUCCEEDED"
    executor.lost = True
    again = await service.create(spec_of())
    assert (again.name, again.state, again.checkpoints) == (job.name, "PENDING", ())
    await all_events(service, job.name)
    assert service.get(job.name).state == "SUCCEEDED"


async def test_where_a_job_trains_is_the_servers_choice_unless_the_spec_says_and_no_part_of_the_job(
    make_service: Make, executor: Any, spec_of: Spec
) -> None:
    service = make_service(executor, default="kubernetes")
    executor.allow()
    job = await service.create(replace(spec_of(), executor=""))
    assert job.spec.executor == "kubernetes"
    await all_events(service, job.name)
    again = await service.create(replace(spec_of(), executor="process"))
    assert (again.name, again.spec.executor) == (job.name, "kubernetes"), "it is trained once"
