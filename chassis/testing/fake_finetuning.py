"""An OpenAI-compatible fine-tuning API for tests: a real HTTP server whose jobs move on each time they are looked at.

`with FakeFineTuning() as provider:` and then `provider.base_url`, `provider.jobs`, `provider.files`, `provider.calls`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from chassis.testing.fake_endpoint.http_server import HttpServer, Request, Response

_BASE = "/v1"
_STATES = ("validating_files", "queued", "running", "running", "succeeded")


class FakeFineTuning:
    """The server.

    Attributes:
        files: Content of uploaded training files, by id.
        jobs: Jobs as the API shows them, by id.
        calls: Method and path of every request.
        faults: Statuses that the next requests get instead of an answer.
        lose_answer_to: Method and path whose next request is carried out, its answer lost.
        carried_out: Told method and path of a request that was carried out, before it is answered.
        end_as: The state that jobs end in.
        refuse_file: Why uploaded files are refused; empty takes them.
        kept: How many checkpoints a job has at its end, the last ones; None keeps one of each epoch.
        keeps_metadata: Jobs have the metadata that they were created with.
        page: Most jobs that a list shows at once.
        hold: Jobs stay as they are.
        key: Wanted as a bearer token; empty wants none.
    """

    def __init__(self, key: str = "") -> None:
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.faults: list[int] = []
        self.lose_answer_to = ""
        self.carried_out: Callable[[str], object] = lambda _call: None
        self.end_as = "succeeded"
        self.refuse_file = ""
        self.kept: int | None = None
        self.keeps_metadata = True
        self.page = 100
        self.hold = False
        self.key = key
        self._server = HttpServer(self.answer)

    @property
    def base_url(self) -> str:
        """Up to the version."""
        return f"http://127.0.0.1:{self._server.port}{_BASE}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The models that were made, each with its job."""
        return {
            name: job
            for job in self.jobs.values()
            if job["status"] == "succeeded"
            for name in (
                job["fine_tuned_model"],
                *(each["fine_tuned_model_checkpoint"] for each in self._checkpoints(job)),
            )
        }

    def answer(self, request: Request) -> Response:
        """Carry a request out."""
        path = urlsplit(request.path).path.removeprefix(_BASE)
        call = f"{request.method} {path}"
        self.calls.append(call)
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided")
        if self.faults:
            return _error(self.faults.pop(0), "try again later")
        answer = self._route(request.method, path, request)
        self.carried_out(call)
        if call == self.lose_answer_to:
            self.lose_answer_to = ""
            return Response(status=answer.status, body=answer.body, drop_after=1)
        return answer

    def _route(self, method: str, path: str, request: Request) -> Response:
        if (method, path) == ("POST", "/files"):
            return self._upload(request)
        if (method, path) == ("POST", "/fine_tuning/jobs"):
            return self._create(json.loads(request.body))
        if (method, path) == ("GET", "/fine_tuning/jobs"):
            return self._list(parse_qs(urlsplit(request.path).query))
        found = re.fullmatch(r"/fine_tuning/jobs/([^/]+)(/[a-z]+)?", path)
        job = self.jobs.get(found.group(1)) if found else None
        if job is None or found is None:
            return _error(404, "no such object")
        return self._job(job, found.group(2) or "", method)

    def _list(self, query: dict[str, list[str]]) -> Response:
        """A page of jobs, newest first, after the one that the query names."""
        newest = list(reversed(self.jobs.values()))
        names = [job["id"] for job in newest]
        start = names.index(query["after"][0]) + 1 if "after" in query else 0
        end = start + min(self.page, int(query["limit"][0]))
        return Response.of({"object": "list", "data": newest[start:end], "has_more": end < len(newest)})

    def _upload(self, request: Request) -> Response:
        boundary = request.headers["content-type"].partition("boundary=")[2].encode()
        parts = [part.partition(b"\r\n\r\n") for part in request.body.split(b"--" + boundary)]
        values = {_name(head): body.removesuffix(b"\r\n") for head, _, body in parts if b"name=" in head}
        if values.get("purpose") != b"fine-tune":
            return _error(400, "purpose must be fine-tune")
        if self.refuse_file:
            return _error(400, self.refuse_file)
        name = f"file-{len(self.files) + 1}"
        self.files[name] = values["file"]
        return Response.of({"id": name, "object": "file", "bytes": len(values["file"]), "purpose": "fine-tune"})

    def _create(self, body: dict[str, Any]) -> Response:
        if body.get("training_file") not in self.files:
            return _error(400, "training_file: no such file")
        name = f"ftjob-{len(self.jobs) + 1}"
        settings = body["method"]["supervised"]["hyperparameters"]
        self.jobs[name] = {
            "id": name,
            "object": "fine_tuning.job",
            "model": body["model"],
            "status": _STATES[0],
            "hyperparameters": settings,
            "metadata": body.get("metadata") if self.keeps_metadata else None,
            "seed": body.get("seed"),
            "suffix": body.get("suffix"),
            "training_file": body["training_file"],
            "fine_tuned_model": None,
            "trained_tokens": None,
            "error": None,
        }
        return Response.of(self.jobs[name])

    def _job(self, job: dict[str, Any], what: str, method: str) -> Response:
        if what == "/cancel" and method == "POST":
            job["status"] = "cancelled"
        elif what == "/checkpoints":
            return Response.of({"object": "list", "data": self._checkpoints(job), "has_more": False})
        elif what == "/events":
            return Response.of({"object": "list", "data": self._events(job), "has_more": False})
        elif not self.hold:
            self._move(job)
        return Response.of(job)

    def _move(self, job: dict[str, Any]) -> None:
        if job["status"] not in _STATES[:-1]:
            return
        job["looks"] = job.get("looks", 0) + 1
        state = _STATES[min(job["looks"], len(_STATES) - 1)]
        job["status"] = self.end_as if state == "succeeded" else state
        if job["status"] == "succeeded":
            job["fine_tuned_model"] = f"ft:{job['model']}:{job['id']}"
            job["trained_tokens"] = 1000
        if job["status"] == "failed":
            job["error"] = {
                "code": "invalid_training_file",
                "message": "the file is too short",
                "param": "training_file",
            }

    def _steps(self, job: dict[str, Any]) -> tuple[int, int]:
        """(steps of an epoch, epochs)."""
        examples = self.files[job["training_file"]].count(b'"messages"')
        return math.ceil(examples / job["hyperparameters"]["batch_size"]), job["hyperparameters"]["n_epochs"]

    def _checkpoints(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        if job["status"] != "succeeded":
            return []
        per_epoch, epochs = self._steps(job)
        oldest = 0 if self.kept is None else max(0, epochs - self.kept)
        return [
            {
                "id": f"ftckpt-{epoch}",
                "object": "fine_tuning.job.checkpoint",
                "fine_tuned_model_checkpoint": f"ft:{job['model']}:{job['id']}:ckpt-step-{epoch * per_epoch}",
                "fine_tuning_job_id": job["id"],
                "metrics": {"step": epoch * per_epoch, "train_loss": 1.0 / epoch},
                "step_number": epoch * per_epoch,
            }
            for epoch in range(epochs, oldest, -1)
        ]

    def _events(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        if job["status"] not in ("running", "succeeded"):
            return [{"type": "message", "message": "validating", "data": None}]
        per_epoch, epochs = self._steps(job)
        data = {"step": per_epoch, "total_steps": per_epoch * epochs, "train_loss": 1.5}
        return [{"type": "metrics", "message": "step", "data": data}]


def _name(head: bytes) -> str:
    found = re.search(rb'name="([^"]+)"', head)
    return found.group(1).decode() if found else ""


def _error(status: int, message: str) -> Response:
    return Response.of({"error": {"message": message, "type": "error", "code": None, "param": None}}, status=status)
