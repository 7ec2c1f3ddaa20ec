"""The few calls to the API server that the executor makes, as plain JSON. Rights for exactly these are in `deploy/k8s/base/trainer`."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger

Object = dict[str, Any]
Answer = TypeVar("Answer")

_SECONDS = 30.0
_ATTEMPTS = 6
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class RefusedError(Exception):
    """The API server did not do it.

    Attributes:
        code: HTTP code; 0 where no answer came.
        message: Its words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later without anybody's doing."""
        return self.code in (0, HTTPStatus.TOO_MANY_REQUESTS) or self.code >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def quota(self) -> bool:
        """Whether a quota of the namespace is used up."""
        return self.code == HTTPStatus.FORBIDDEN and "exceeded quota" in self.message


async def persist(call: Callable[[], Awaitable[Answer]], pause: Callable[[], Awaitable[object]]) -> Answer:
    """Make a call up to six times, as long as its refusal may pass.

    Args:
        call: The call.
        pause: What is waited for between two attempts.

    Raises:
        RefusedError: The last refusal, or one that does not pass.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return await call()
        except RefusedError as refused:
            if not refused.passes:
                raise
            get_logger("trainer").warning("call refused", code=refused.code, message=refused.message)
        await pause()
    return await call()


class Cluster:
    """Calls in one namespace.

    Args:
        namespace: Empty takes the Pod's own, or that of the kubeconfig's context.
        kubeconfig: None takes the Pod's service account.
    """

    def __init__(self, namespace: str = "", kubeconfig: Path | None = None) -> None:
        self._namespace = namespace
        self._kubeconfig = kubeconfig
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def pod_template(self, name: str) -> Object:
        """A PodTemplate."""
        return await self._call("GET", f"/api/v1/namespaces/{{namespace}}/podtemplates/{name}")

    async def job(self, name: str) -> Object | None:
        """A Job; None where there is none."""
        try:
            return await self._call("GET", f"/apis/batch/v1/namespaces/{{namespace}}/jobs/{name}")
        except RefusedError as refused:
            if refused.code != HTTPStatus.NOT_FOUND:
                raise
            return None

    async def create_job(self, job: Object) -> None:
        """Create a Job; one of this name that is there already is left as it is."""
        try:
            await self._call("POST", "/apis/batch/v1/namespaces/{namespace}/jobs", body=job)
        except RefusedError as refused:
            if refused.code != HTTPStatus.CONFLICT:
                raise

    async def delete_job(self, name: str) -> None:
        """Have a Job ended: it is gone once its Pods are, which get their grace."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        try:
            await self._call("DELETE", f"/apis/batch/v1/namespaces/{{namespace}}/jobs/{name}", body=options)
        except RefusedError as refused:
            if refused.code != HTTPStatus.NOT_FOUND:
                raise

    async def pods(self, job: str) -> list[Object]:
        """The Pods of a Job, the newest last."""
        query = {"labelSelector": f"batch.kubernetes.io/job-name={job}"}
        found = await self._call("GET", "/api/v1/namespaces/{namespace}/pods", query=query)
        return sorted(found["items"], key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    async def warnings(self) -> list[Object]:
        """Events of the namespace that tell of trouble, the newest last."""
        query = {"fieldSelector": "type=Warning"}
        found = await self._call("GET", "/api/v1/namespaces/{namespace}/events", query=query)
        return sorted(found["items"], key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    async def log(self, pod: str, lines: int) -> str:
        """The end of a Pod's log; empty where it has none (any more)."""
        path = f"/api/v1/namespaces/{{namespace}}/pods/{pod}/log"
        try:
            return (await self._send("GET", path, {"tailLines": str(lines)}, None)).decode("utf-8", "replace")
        except RefusedError:
            return ""

    async def _call(self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None) -> Object:
        answer = await self._send(method, path, query or {}, body)
        told: Object = json.loads(answer)
        return told

    async def _send(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        try:
            return await self._once(method, path, query, body)
        except RefusedError as refused:
            if refused.code != HTTPStatus.UNAUTHORIZED:
                raise
        await self.close()  # a kubeconfig's token is over: its source is asked for another
        return await self._once(method, path, query, body)

    async def _once(self, method: str, path: str, query: dict[str, str], body: Any) -> bytes:
        import aiohttp

        client = await self._connected()
        call = await client.param_serialize(
            method,
            path.format(namespace=self._namespace),
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await client.call_api(*call, _request_timeout=_SECONDS)
            content: bytes = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            raise RefusedError(0, f"the API server does not answer: {error or type(error).__name__}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(answer.status, _message(content))
        return content

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
        return self._client

    async def _connect(self) -> Any:
        try:
            client: Any = importlib.import_module("kubernetes.aio.client")
            config: Any = importlib.import_module("kubernetes.aio.config")
        except ImportError as error:
            message = "executor kubernetes needs a package: pip install '.[kubernetes]' on the trainer's machine"
            raise CandorError(Reason.BACKEND_MISSING, message) from error
        configuration = client.Configuration()
        try:
            if self._kubeconfig is None:
                config.load_incluster_config(client_configuration=configuration)
                self._namespace = self._namespace or _own_namespace()
            else:
                await config.load_kube_config(str(self._kubeconfig), client_configuration=configuration)
                self._namespace = self._namespace or _context_namespace(config, self._kubeconfig)
        except (config.ConfigException, OSError) as error:
            message = (
                f"executor kubernetes finds no cluster: {error}; run the trainer in a Pod whose service account token is "
                "mounted, or set CANDOR_TRAINER_KUBERNETES__KUBECONFIG"
            )
            raise CandorError(Reason.BACKEND_MISSING, message) from error
        return client.ApiClient(configuration)


def _own_namespace() -> str:
    return _NAMESPACE.read_text("ascii").strip()


def _context_namespace(config: Any, kubeconfig: Path) -> str:
    _, current = config.list_kube_config_contexts(str(kubeconfig))
    return str(current["context"].get("namespace") or "default")


def _message(content: bytes) -> str:
    """What a Status says; other answers as they are."""
    text = content.decode("utf-8", "replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:300]
