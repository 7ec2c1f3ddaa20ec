"""HTTP: requests to the registry, answers and streams back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from chassis.testing.fake_kubernetes import discovery, errors
from chassis.testing.fake_kubernetes.access import Account, Accounts
from chassis.testing.fake_kubernetes.collector import collect
from chassis.testing.fake_kubernetes.faults import Faults
from chassis.testing.fake_kubernetes.kinds import Object
from chassis.testing.fake_kubernetes.reading import Lists, Selection, watch
from chassis.testing.fake_kubernetes.registry import Registry
from chassis.testing.fake_kubernetes.store import Store
from chassis.testing.fake_kubernetes.targets import Target, target


class Application:
    """The handler of all requests.

    Attributes:
        calls: Method and path of every request, in order.
        logs: Text of container logs by (namespace, pod).
        bookmark_every: Seconds without a change after which a watch gets a bookmark.
    """

    def __init__(self, faults: Faults, accounts: Accounts) -> None:
        self.store = Store()
        self.registry = Registry(self.store)
        self.faults = faults
        self.accounts = accounts
        self.calls: list[str] = []
        self.logs: dict[tuple[str, str], str] = {}
        self.bookmark_every = 60.0
        self._lists = Lists(self.store)
        self._cut = asyncio.Event()

    def cut_watches(self) -> None:
        """End all watches that run, without a word."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        call = f"{request.method} {request.path}"
        self.calls.append(call)
        try:
            if self.faults.delay:
                await asyncio.sleep(self.faults.delay)
            account = self.accounts.of(request.headers.get("Authorization", ""))
            refusal = self.faults.refusal(call)
            if refusal is not None and not refusal.carried_out:
                raise refusal.error()
            answer = await self._answer(request, account)
            if refusal is not None:
                raise refusal.error()
        except errors.ApiError as refused:
            headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
            return web.json_response(refused.status, status=refused.code, headers=headers)
        return answer

    async def _answer(self, request: web.Request, account: Account) -> web.StreamResponse:
        kinds = self.registry.kinds()
        if request.path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        told = discovery.answer(request.path, kinds, request.host)
        if told is not None:
            return web.json_response(told)
        groups = {f"/apis/{kind.group}/{kind.version}/" for kind in kinds if kind.group} | {"/api/v1/"}
        if not any(request.path.startswith(each) for each in groups):
            return web.Response(text="404 page not found\n", status=404)
        about = target(request.method, request.path, request.query, kinds)
        account.check(about)
        if about.verb == "watch":
            return await self._stream(request, about)
        if about.subresource == "log":
            return self._log(request, about)
        body = await _body(request)
        answer, status = self._carry_out(about, request, body)
        if about.verb not in ("get", "list"):
            collect(self.registry)
        return web.json_response(answer, status=status)

    def _carry_out(self, about: Target, request: web.Request, body: Any) -> tuple[Object, int]:
        kind, namespace, name = about.kind, about.namespace, about.name
        status = about.subresource == "status"
        if about.subresource == "binding":
            return self.registry.bind(kind, namespace, name, body["target"]["name"]), 201
        if about.subresource == "eviction":
            return self._delete(about, body.get("deleteOptions") or {}), 201
        match about.verb:
            case "list":
                answer = self._lists.page(Selection.of(kind, namespace, "", request.query), request.query)
            case "get":
                answer = self.registry.get(kind, namespace, name)
            case "create":
                answer = self.registry.create(kind, namespace, _object(body))
            case "update":
                answer = self.registry.update(kind, namespace, name, _object(body), status=status)
            case "patch":
                form = request.headers.get("Content-Type", "")
                answer = self.registry.patch(kind, namespace, name, body, form, status=status)
            case "delete":
                answer = self._delete(about, _options(request, body))
            case _:
                answer = self._delete_all(about, request, _options(request, body))
        return answer, 201 if about.verb == "create" else 200

    def _delete(self, about: Target, options: Object) -> Object:
        before = self.registry.get(about.kind, about.namespace, about.name)
        left = self.registry.delete(about.kind, about.namespace, about.name, options)
        if left is not None:
            return left
        told = errors.details(about.kind, about.name) | {"uid": before["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": told}

    def _delete_all(self, about: Target, request: web.Request, options: Object) -> Object:
        page = self._lists.page(Selection.of(about.kind, about.namespace, "", request.query), {})
        for item in page["items"]:
            metadata = item["metadata"]
            self.registry.delete(about.kind, metadata.get("namespace", ""), metadata["name"], options)
        return page

    async def _stream(self, request: web.Request, about: Target) -> web.StreamResponse:
        selection = Selection.of(about.kind, about.namespace, about.name, request.query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        events = watch(self.store, selection, request.query, bookmark_every=self.bookmark_every)
        ends = asyncio.get_running_loop().time() + float(request.query.get("timeoutSeconds") or 3600)
        async for event in _until(events, self._cut, ends):
            await response.write(json.dumps(event).encode() + b"\n")
        await response.write_eof()
        return response

    def _log(self, request: web.Request, about: Target) -> web.Response:
        pod = self.registry.get(about.kind, about.namespace, about.name)
        statuses = pod["status"].get("containerStatuses") or []
        waiting = statuses[0]["state"].get("waiting") if statuses else {"reason": "ContainerCreating"}
        if waiting is not None:
            container = pod["spec"]["containers"][0]["name"]
            why = f'container "{container}" in pod "{about.name}" is waiting to start: {waiting.get("reason")}'
            raise errors.bad_request(why)
        lines = self.logs.get((about.namespace, about.name), "").splitlines(keepends=True)
        if "tailLines" in request.query:
            count = int(request.query["tailLines"])
            lines = lines[-count:] if count else []
        return web.Response(text="".join(lines))


async def _until(events: AsyncIterator[Object], cut: asyncio.Event, ends: float) -> AsyncIterator[Object]:
    """Events until their time is over or they are cut."""
    clock: Callable[[], float] = asyncio.get_running_loop().time
    stop = asyncio.ensure_future(cut.wait())
    following = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            left = max(0.0, ends - clock())
            done, _ = await asyncio.wait({stop, following}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if following not in done:
                return
            event = following.result()
            if event is None:
                return
            yield event
            following = asyncio.ensure_future(anext(events, None))
    finally:
        stop.cancel()
        following.cancel()


async def _body(request: web.Request) -> Any:
    text = await request.read()
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as problem:
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type Object): {problem}"
        ) from problem


def _object(body: Any) -> Object:
    if not isinstance(body, dict):
        raise errors.bad_request("the object provided is unrecognized (must be of type Object)")
    return body


def _options(request: web.Request, body: Any) -> Object:
    """DeleteOptions: from the body, or the query, which goes first."""
    return {**(body or {}), **{name: _value(text) for name, text in request.query.items()}}


def _value(value: str) -> Any:
    return int(value) if value.isdigit() else {"true": True, "false": False}.get(value, value)
