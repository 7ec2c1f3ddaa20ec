"""The handful of calls that fine-tuning APIs have, over HTTP: upload, create, look, cancel, checkpoints.

Field names are those of the OpenAI API. Calls that read are repeated; creating is not, unless the provider said that it
did nothing (429, 503): a lost answer is looked up instead, so that no job is paid twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chassis.errors import CandorError, Reason
from chassis.llm.waiting import asked_wait_seconds
from chassis.llm.wire import Http
from chassis.text import plain, without_secrets

if TYPE_CHECKING:
    import httpx2

_ATTEMPTS = 6
_NOTHING_DONE = frozenset({429, 503})
_UNSURE = frozenset({500, 502, 504})
_REFUSED = {
    401: Reason.ENDPOINT_UNAUTHENTICATED,
    403: Reason.ENDPOINT_UNAUTHENTICATED,
    404: Reason.MODEL_NOT_FOUND,
    429: Reason.RATE_LIMITED,
}


class Api:
    """One provider.

    Args:
        base_url: Up to and including the version.
        key: Sent as a bearer token; empty sends none.
        http: Connections.
        seconds: For one answer.
        first_wait_seconds: Before the first repetition; doubled for each further one.
    """

    def __init__(
        self, base_url: str, key: str, http: Http, *, seconds: float = 120.0, first_wait_seconds: float = 1.0
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._http = http
        self._seconds = seconds
        self._first_wait_seconds = first_wait_seconds

    async def upload(self, file: Path) -> str:
        """The id of an uploaded training file. Raises CandorError."""
        content = await asyncio.to_thread(file.read_bytes)
        parts = {"files": {"file": (file.name, content, "application/jsonl")}, "data": {"purpose": "fine-tune"}}
        found = (await self._call("POST", "/files", again=True, **parts)).get("id")
        if not isinstance(found, str):
            raise self._strange("the uploaded file has no id")
        return found

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """A new job. Raises CandorError; ENDPOINT_UNAVAILABLE when it may exist nevertheless."""
        return self._job(await self._call("POST", "/fine_tuning/jobs", again=False, json=body))

    async def find(self, key: str, value: str, file: str) -> dict[str, Any] | None:
        """The newest job with this metadata or training file that is neither failed nor cancelled. Raises CandorError.

        Args:
            key: Under which a job carries its name with us.
            value: That name.
            file: Id of the file that was uploaded for it alone, for providers that keep no metadata; empty for none.
        """
        params = {"limit": "100"}
        while True:
            page = await self._call("GET", "/fine_tuning/jobs", params=params)
            listed = page.get("data") or []
            for job in listed:
                ours = (job.get("metadata") or {}).get(key) == value or (file and job.get("training_file") == file)
                if ours and job.get("status") not in ("failed", "cancelled"):
                    return self._job(job)
            if not page.get("has_more") or not listed:
                return None
            params = {"limit": "100", "after": str(listed[-1].get("id"))}

    async def get(self, job: str) -> dict[str, Any]:
        """A job as it is. Raises CandorError."""
        return self._job(await self._call("GET", f"/fine_tuning/jobs/{job}"))

    async def cancel(self, job: str) -> None:
        """Stop a job; one that has ended stays as it is. Raises CandorError."""
        if (await self.get(job))["status"] not in ("succeeded", "failed", "cancelled"):
            await self._call("POST", f"/fine_tuning/jobs/{job}/cancel")

    async def checkpoints(self, job: str) -> Sequence[dict[str, Any]]:
        """Checkpoints so far. Raises CandorError."""
        found = (await self._call("GET", f"/fine_tuning/jobs/{job}/checkpoints", params={"limit": "100"})).get(
            "data", []
        )
        return [checkpoint for checkpoint in found if isinstance(checkpoint, dict)]

    async def metrics(self, job: str) -> dict[str, Any]:
        """The newest metrics among the job's events; empty when there are none. Raises CandorError."""
        events = (await self._call("GET", f"/fine_tuning/jobs/{job}/events", params={"limit": "50"})).get("data", [])
        told = [event.get("data") or {} for event in events if event.get("type") == "metrics"]
        return max(told, key=lambda data: data.get("step") or 0, default={})

    async def _call(self, method: str, path: str, *, again: bool = True, **parts: Any) -> dict[str, Any]:
        """One call, repeated while that may help and cannot harm."""
        wait = self._first_wait_seconds
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                response = await self._send(method, path, parts)
            except CandorError:
                if last or not again:
                    raise
            else:
                if response.is_success:
                    return self._read(response)
                repeat = response.status_code in _NOTHING_DONE or (again and response.status_code in _UNSURE)
                if last or not repeat:
                    raise self._error(response, f"{method} {path}")
                wait = max(wait, asked_wait_seconds(response.headers))
            await asyncio.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    async def _send(self, method: str, path: str, parts: dict[str, Any]) -> httpx2.Response:
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with asyncio.timeout(self._seconds):
                client = self._http.client(self._base_url)
                return await client.request(method, self._base_url + path, headers=headers, **parts)
        except (httpx2.HTTPError, TimeoutError) as error:
            message = f"the fine-tuning API at {self._host} did not answer; the job goes on when it is created again"
            raise CandorError(Reason.ENDPOINT_UNAVAILABLE, message) from error

    def _read(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._strange("its answer is no JSON object")
        return value

    def _job(self, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("id"), str) or not isinstance(value.get("status"), str):
            raise self._strange("its job has no id or no status")
        return value

    def _strange(self, what: str) -> CandorError:
        return CandorError(Reason.BAD_REPLY, f"{self._host} does not speak the fine-tuning API: {what}")

    def _error(self, response: httpx2.Response, call: str) -> CandorError:
        if response.status_code == 404 and call == "GET /fine_tuning/jobs":  # every job begins with it
            message = (
                f"{self._host} has no fine-tuning API under {urlsplit(self._base_url).path or '/'}; name an endpoint whose "
                "provider fine-tunes, or a checkpoint to be trained here"
            )
            return CandorError(Reason.ENDPOINT_REFUSED, message)
        try:
            said = json.loads(response.content)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = response.text[:300]
        words = plain(without_secrets(str(said), self._key))[:300]
        status = response.status_code
        unsure = Reason.ENDPOINT_UNAVAILABLE if status >= 500 else Reason.ENDPOINT_REFUSED
        return CandorError(
            _REFUSED.get(status, unsure), f"the fine-tuning API at {self._host} answered {status}: {words}"
        )

    @property
    def _host(self) -> str:
        return urlsplit(self._base_url).netloc
