"""The orchestrator as the command line uses it: uploads, creation, events through dropped streams, files."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2, orchestrator_pb2_grpc

from candor_cli.names import LATEST, resource
from chassis.clients import stream, translated
from chassis.errors import CandorError, FieldViolation, Reason
from chassis.storage import storage_error

_SERVICE = "orchestrator"
_CHUNK = 512 * 1024
_CALL_SECONDS = 120.0
_PLAN_SECONDS = 1800.0  # describing a checkpoint hashes its weights
_LONGEST_OUTAGE_SECONDS = 300.0
_FIRST_WAIT_SECONDS = 0.2


class Orchestrator:
    """A client over one channel. Every method raises CandorError.

    Args:
        channel: To the orchestrator.
        patience_seconds: How long `watch` waits for an orchestrator that cannot be reached or cannot use its ledger.
    """

    def __init__(self, channel: grpc.aio.Channel, patience_seconds: float = _LONGEST_OUTAGE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)

    async def upload_tasks(self, spec: evaluation_pb2.EvaluationSpec) -> None:
        """Upload the files that tasks name by path, and name them by digest instead."""
        for index, task in enumerate(spec.tasks):
            if task.path:
                path = Path(task.path)
                try:
                    task.dataset = await self.upload(path)
                except CandorError as error:
                    raise _about(error, f"tasks[{index}].path") from error
                task.name = task.name or path.stem
                task.path = ""

    async def upload_conversations(self, spec: evaluation_pb2.EvaluationSpec) -> None:
        """Upload the files that arms are made from, each once, and name them by digest: for an orchestrator elsewhere."""
        stored: dict[str, str] = {}
        for name, arm in sorted(spec.arms.items()):
            source = arm.sft.conversations if arm.WhichOneof("source") == "sft" else None
            if source is None or not source.path:
                continue
            if source.path not in stored:
                try:
                    stored[source.path] = await self.upload(Path(source.path))
                except CandorError as error:
                    raise _about(error, f"arms.{name}.sft.conversations.path") from error
            source.dataset, source.path = stored[source.path], ""

    async def upload(self, path: Path) -> str:
        """Store a file under its digest; returns the digest."""
        info = _info(path)
        with translated(_SERVICE):
            await self._stub.UploadDataset(_parts(path, info), timeout=_PLAN_SECONDS)
        return info.digest

    async def plan(
        self, spec: evaluation_pb2.EvaluationSpec, *, pilot: bool = False, limit: int = 0
    ) -> orchestrator_pb2.Plan:
        """What a run would do and whether it can conclude."""
        request = orchestrator_pb2.PlanEvaluationRequest(spec=spec, pilot=pilot, limit=limit)
        with translated(_SERVICE):
            return await self._stub.PlanEvaluation(request, timeout=_PLAN_SECONDS)

    async def create(self, request: orchestrator_pb2.CreateEvaluationRequest) -> orchestrator_pb2.Evaluation:
        """Start an evaluation or go on with one."""
        with translated(_SERVICE):
            return await self._stub.CreateEvaluation(request, timeout=_PLAN_SECONDS)

    async def get(self, name: str) -> orchestrator_pb2.Evaluation:
        """One evaluation."""
        with translated(_SERVICE):
            return await self._stub.GetEvaluation(
                orchestrator_pb2.GetEvaluationRequest(name=name), timeout=_CALL_SECONDS
            )

    async def find(self, evaluation: str) -> orchestrator_pb2.Evaluation:
        """One evaluation by its id or resource name, or `latest`."""
        if evaluation != LATEST:
            return await self.get(resource(evaluation))
        page = await self.newest(1)
        if not page.evaluations:
            raise CandorError(Reason.EVALUATION_NOT_FOUND, "there is no evaluation yet; run candor evaluate first")
        return await self.get(page.evaluations[0].name)

    async def newest(self, page_size: int, page_token: str = "") -> orchestrator_pb2.ListEvaluationsResponse:
        """A page of evaluations, newest first."""
        request = orchestrator_pb2.ListEvaluationsRequest(page_size=page_size, page_token=page_token)
        with translated(_SERVICE):
            return await self._stub.ListEvaluations(request, timeout=_CALL_SECONDS)

    async def cancel(self, name: str) -> orchestrator_pb2.Evaluation:
        """Stop asking."""
        request = orchestrator_pb2.CancelEvaluationRequest(name=name)
        with translated(_SERVICE):
            return await self._stub.CancelEvaluation(request, timeout=_CALL_SECONDS)

    async def delete(self, name: str) -> None:
        """Remove an evaluation."""
        with translated(_SERVICE):
            await self._stub.DeleteEvaluation(
                orchestrator_pb2.DeleteEvaluationRequest(name=name), timeout=_CALL_SECONDS
            )

    async def tasks(self) -> orchestrator_pb2.ListTasksResponse:
        """Built-in tasks and loaders."""
        with translated(_SERVICE):
            return await self._stub.ListTasks(orchestrator_pb2.ListTasksRequest(), timeout=_CALL_SECONDS)

    async def calibrate(
        self, request: orchestrator_pb2.CalibrateJudgeRequest
    ) -> orchestrator_pb2.CalibrateJudgeResponse:
        """Measure a judge on labelled replies."""
        with translated(_SERVICE):
            return await self._stub.CalibrateJudge(request, timeout=_PLAN_SECONDS)

    async def last_events(self, name: str, count: int) -> list[orchestrator_pb2.EvaluationEvent]:
        """The last events that there are now."""
        request = orchestrator_pb2.WatchEvaluationRequest(name=name, last=count)
        return [event async for event in stream(_SERVICE, self._stub.WatchEvaluation(request, timeout=_CALL_SECONDS))]

    async def watch(self, name: str) -> AsyncIterator[orchestrator_pb2.EvaluationEvent]:
        """Every event once, in order, until the evaluation closes; a dropped stream is taken up where it broke.

        Gives up when the orchestrator fails for longer than the client's patience.
        """
        sequence, outage, wait = 0, 0.0, _FIRST_WAIT_SECONDS
        while True:
            request = orchestrator_pb2.WatchEvaluationRequest(name=name, after_sequence=sequence)
            try:
                async for event in stream(_SERVICE, self._stub.WatchEvaluation(request)):
                    sequence, outage, wait = event.sequence, 0.0, _FIRST_WAIT_SECONDS
                    yield event
            except CandorError as error:
                # A full disk does not mend itself while one watches.
                hopeless = not error.retryable or error.reason is Reason.LEDGER_FULL
                if hopeless or outage > self._patience_seconds:
                    raise
                await asyncio.sleep(wait)
                outage, wait = outage + wait, min(2 * wait, 10.0)
            else:
                return

    async def watch_attempt(
        self, started: orchestrator_pb2.Evaluation
    ) -> AsyncIterator[orchestrator_pb2.EvaluationEvent]:
        """Events from the beginning of the last attempt on; what earlier attempts came to was told to those who ran them.

        Args:
            started: What `create` answered.
        """
        held: list[orchestrator_pb2.EvaluationEvent] = []
        past = True
        async for event in self.watch(started.name):
            if past and event.state == "PENDING":  # an attempt begins
                held.clear()
            held.append(event)
            past = past and event.time.ToNanoseconds() < started.update_time.ToNanoseconds()
            if not past:
                for each in held:
                    yield each
                held.clear()
        for each in held:
            yield each

    async def responses(self, name: str, arm: str = "") -> AsyncIterator[orchestrator_pb2.ResponseRecord]:
        """Replies and grades in a stable order."""
        token = ""
        while True:
            request = orchestrator_pb2.ListResponsesRequest(name=name, arm=arm, page_size=500, page_token=token)
            with translated(_SERVICE):
                page = await self._stub.ListResponses(request, timeout=_CALL_SECONDS)
            for record in page.responses:
                yield record
            token = page.next_page_token
            if not token:
                return

    async def save_report(self, name: str, folder: Path, files: tuple[str, ...] = ()) -> list[Path]:
        """Write the files of a finished evaluation into a folder: all of them or none.

        What an earlier run left there under the same names is replaced; other files stay.
        """
        try:
            with _staging(folder) as fresh:
                names = await self._receive(name, files, fresh)
                for relative in names:
                    target = folder / relative
                    target.parent.mkdir(parents=True, exist_ok=True)
                    (fresh / relative).replace(target)
        except OSError as error:
            raise storage_error(error, f"cannot write {folder}") from error
        return [folder / relative for relative in names]

    async def _receive(self, name: str, files: tuple[str, ...], folder: Path) -> list[str]:
        request = orchestrator_pb2.GetReportRequest(name=name, files=files)
        names: list[str] = []
        async for chunk in stream(_SERVICE, self._stub.GetReport(request, timeout=_PLAN_SECONDS)):
            relative = Path(chunk.file)
            if relative.is_absolute() or ".." in relative.parts:
                raise CandorError(Reason.INTERNAL, "the orchestrator named a file outside the report")
            target = folder / relative
            if chunk.file not in names:
                names.append(chunk.file)
                target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab") as file:
                file.write(chunk.data)
        return names


def _about(error: CandorError, field: str) -> CandorError:
    """An upload's error with the document's field in place of the request's."""
    violations = tuple(FieldViolation(field, violation.description) for violation in error.violations)
    return CandorError(error.reason, error.message, violations=violations, metadata=error.metadata)


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder inside `folder` that is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _info(path: Path) -> orchestrator_pb2.DatasetInfo:
    try:
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        return orchestrator_pb2.DatasetInfo(digest=digest, filename=path.name, size_bytes=path.stat().st_size)
    except OSError as error:
        raise CandorError(Reason.BAD_DATASET, f"{path}: {error.strerror}") from error


def _parts(path: Path, info: orchestrator_pb2.DatasetInfo) -> Iterator[orchestrator_pb2.UploadDatasetRequest]:
    yield orchestrator_pb2.UploadDatasetRequest(info=info)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield orchestrator_pb2.UploadDatasetRequest(chunk=chunk)
