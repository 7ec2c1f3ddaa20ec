"""The Kubernetes API server: how to log in, and the one thing that is written to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import kopf

from candor_operator.pulse import Pulse
from chassis.custom_resource import GROUP, PLURAL, VERSION

_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_TIMEOUT = aiohttp.ClientTimeout(total=30)


class NotWritten(Exception):  # noqa: N818  # an answer, not a defect
    """The API server did not take a write; the text says why."""


class Cluster:
    """A session with the API server, which the framework uses as well.

    Args:
        pulse: Told of every watch of evaluations that the server opens, and of every write.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._server = ""
        self._session: aiohttp.ClientSession | None = None

    def log_in(self, framework: kopf.OperatorSettings) -> kopf.AiohttpSession:
        """A session by kubeconfig where KUBECONFIG names one, else by the pod's service account.

        Args:
            framework: Settings of kopf.

        Raises:
            kopf.LoginError: Neither is there.
        """
        by_file = bool(os.environ.get("KUBECONFIG"))
        log_in = kopf.login_with_kubeconfig if by_file else kopf.login_with_service_account
        info = log_in(settings=framework)
        if info is None:
            raise kopf.LoginError(
                "no service account and no KUBECONFIG: run the operator in a pod, or name a kubeconfig"
            )
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._opened)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers() if by_file else {},
            middlewares=() if by_file else (_with_token,),
            trace_configs=[trace],
        )
        self._server = info.server.rstrip("/")
        return kopf.AiohttpSession(
            server=info.server, default_namespace=info.default_namespace, aiohttp_session=self._session
        )

    async def write_status(self, body: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object after a merge patch of its status. An object that has changed since `body`, or another of its name, is left alone.

        Raises:
            NotWritten: The object is not as it was read any more (409), or the server cannot be reached.
        """
        meta = body["metadata"]
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/{PLURAL}/{meta['name']}/status"
        changed = {"metadata": {name: meta[name] for name in ("uid", "resourceVersion")}, "status": patch}
        headers = {"Content-Type": "application/merge-patch+json"}
        began, version = self._pulse.writes(meta["uid"]), meta["resourceVersion"]
        try:
            found = await self._call("PATCH", path, json=changed, headers=headers)
            version = found["metadata"]["resourceVersion"]
        finally:
            if version == meta["resourceVersion"]:
                self._pulse.wrote_nothing(meta["uid"], began)
        return found

    async def get(self, path: str) -> dict[str, Any]:
        """An object. Raises NotWritten's like: the server refused it or cannot be reached."""
        return await self._call("GET", path)

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if self._session is None:
            raise NotWritten("not logged in")
        try:
            async with self._session.request(method, self._server + path, timeout=_TIMEOUT, **options) as response:
                found: dict[str, Any] = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NotWritten(f"{method} {path}: {error!r}") from error
        if response.status >= 400:
            raise NotWritten(f"{method} {path}: {response.status} {found.get('message', '')}")
        return found

    async def _opened(
        self, _session: aiohttp.ClientSession, _context: object, done: aiohttp.TraceRequestEndParams
    ) -> None:
        parts = urlsplit(str(done.url))
        watch = done.method == "GET" and parts.path.endswith(f"/{PLURAL}") and "watch" in parse_qs(parts.query)
        if watch and done.response.status == 200:
            self._pulse.opened(parts.path)


async def _with_token(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The pod's token as the kubelet has it now: it is renewed every hour."""
    token = _TOKEN.read_text(encoding="utf-8").strip()  # noqa: ASYNC240  # a file in memory, of a kilobyte
    request.headers["Authorization"] = f"Bearer {token}"
    return await handler(request)
