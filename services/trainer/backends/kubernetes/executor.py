"""The `kubernetes` executor: a batch/v1 Job for each training job, found again by its name, never made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from chassis.errors import CandorError, Reason
from services.trainer.backends.kubernetes.cluster import Cluster, Object, RefusedError, persist
from services.trainer.backends.kubernetes.following import Following
from services.trainer.backends.kubernetes.manifest import (
    check_places,
    container_of,
    job_manifest,
    job_name,
    pool_of,
    unseen,
)
from services.trainer.backends.kubernetes.options import Options
from services.trainer.backends.kubernetes.tail import Tail
from services.trainer.backends.process import keeping
from services.trainer.backends.process.checking import look, need
from services.trainer.backends.process.executor import command
from services.trainer.backends.process.order import Order
from services.trainer.backends.process.room import Device
from services.trainer.backends.store_files import disk_errors
from services.trainer.domain.job import Job
from services.trainer.domain.preflight import Preflight
from services.trainer.domain.spec import TrainingSpec
from services.trainer.ports import Report

_NEEDED = ("transformers",)
_DEFAULT_GRACE = 30
_UNTIMED = "not estimated: the job trains in a Pod, on a machine that is not known before it starts"
_UNJUDGED = "whether the memory suffices is known only when the Pod trains: {} does not say how much {} has"


class KubernetesExecutor:
    """Trains on a cluster.

    Args:
        cluster: Where.
        options: How.
        root: The artifact root, which the Pods have at the same path.
    """

    def __init__(self, cluster: Cluster, options: Options, root: Path) -> None:
        self._cluster = cluster
        self._options = options
        self._root = root

    async def close(self) -> None:
        """Close the connections."""
        await self._cluster.close()

    async def check(self, spec: TrainingSpec) -> Preflight:
        """See the port: the data, the template of the Pod, the memory where it says how much there is. Never the time."""
        need(_NEEDED)
        template = await self._template()
        name, pod = self._options.template, template["template"]
        container = container_of(pod, name)
        check_places(pod, self._root, name)
        pool = pool_of(container)
        free = self._options.gpu_memory_bytes if pool.gpu else pool.memory_bytes
        told = f"a Pod of the template {name}" + (f" ({pool.gpu})" if pool.gpu else "")
        preflight, _, _ = await asyncio.to_thread(look, spec, Device(told, bool(pool.gpu), free))
        warnings = unseen(pod, {"the base model": spec.base, "the data set": spec.dataset}, name)
        if not free:
            source = "CANDOR_TRAINER_KUBERNETES__GPU_MEMORY_BYTES" if pool.gpu else "the template's memory limit"
            warnings.append(_UNJUDGED.format(source, "a GPU" if pool.gpu else "the container"))
        return replace(preflight, time_basis=_UNTIMED, warnings=(*preflight.warnings, *warnings))

    async def run(self, job: Job, folder: Path, stop: asyncio.Event) -> AsyncGenerator[Report]:
        """See the port. A stop leaves the Job to go on; `abandon` ends it."""

        async def manifest() -> Object:
            template = await self._template()
            container = container_of(template["template"], self._options.template)
            gpu = pool_of(container).gpu
            # A Pod that was given a GPU and does not find it must say so, not train on a CPU for weeks.
            device = "cuda" if gpu else self._options.device
            with disk_errors(folder):
                Order(
                    spec=job.spec,
                    device=device,
                    threads=self._options.threads,
                    state_seconds=self._options.state_seconds,
                ).write(folder)
            arguments = command(job.spec, [str(folder), "--detached"], self._options.launch_arguments)
            return job_manifest(template, job, arguments, self._options.ways)

        following = Following(self._cluster, self._options, job_name(job.id), folder, stop)
        async with aclosing(following.reports(manifest)) as reports:
            async for report in reports:
                yield report

    def reopen(self, job: Job, folder: Path) -> bool:
        """See the port."""
        again = keeping.reopen(job, folder)
        if again:
            Tail(folder).forget()
        return again

    async def abandon(self, job: Job) -> None:
        """See the port: the Job is deleted; its Pod saves the state and ends, within its grace."""
        name = job_name(job.id)
        again = partial(asyncio.sleep, self._options.poll_seconds)
        try:
            known = await persist(lambda: self._cluster.job(name), again)
            if known is None:
                return
            await persist(lambda: self._cluster.delete_job(name), again)
        except RefusedError as refused:
            message = f"the Job {name} could not be deleted, and may train on: {refused.message}"
            raise CandorError(Reason.TRAINING_FAILED, message) from refused
        grace = known["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE)
        with suppress(TimeoutError):  # it ends all the same, and a next run waits for that
            async with asyncio.timeout(grace + self._options.stop_seconds):
                await self._gone(name)

    async def _gone(self, name: str) -> None:
        """Wait until a Job is seen to be there no more."""
        while True:
            with suppress(RefusedError):
                if await self._cluster.job(name) is None:
                    return
            await asyncio.sleep(min(1.0, self._options.poll_seconds))

    async def _template(self) -> Object:
        name = self._options.template
        try:
            return await self._cluster.pod_template(name)
        except RefusedError as refused:
            if refused.passes:
                raise
            message = (
                f"the PodTemplate {name} (CANDOR_TRAINER_KUBERNETES__TEMPLATE) cannot be read: {refused.message}; "
                "apply deploy/k8s/base/trainer, which has it and the trainer's Role"
            )
            raise CandorError(Reason.BACKEND_MISSING, message) from refused
