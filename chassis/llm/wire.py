"""The HTTP side, on the openai SDK and httpx: one POST, its status, headers and body. Nothing is retried here.

The SDK reads keys, organisations and extra headers from the environment; a subject's URL must never receive them, so
the headers are fixed here. Redirects are not followed: they could leave the allowed hosts with the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chassis.errors import CandorError, Reason
from chassis.llm.values import Endpoint
from chassis.version import VERSION

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UnreachableError(Exception):
    """No answer: refused, reset, unresolved, TLS. The text says which, without addresses of ours."""


class TimedOutError(Exception):
    """No whole answer within the attempt's time."""


def open_http(max_connections: int | None, connect_seconds: float) -> httpx2.AsyncClient:
    """A connection pool that several endpoints may share (None: as many as are asked for). Close it with `aclose`."""
    import httpx2

    limits = httpx2.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    timeout = httpx2.Timeout(None, connect=connect_seconds)
    return httpx2.AsyncClient(limits=limits, timeout=timeout, follow_redirects=False)


class Wire:
    """One endpoint over a connection pool."""

    def __init__(self, endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
        self._client = _sdk_client(endpoint, http)

    async def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Send a JSON body.

        Raises:
            UnreachableError: There was no answer.
            TimedOutError: Connecting took too long; the caller bounds the rest.
        """
        import httpx2
        import openai

        try:
            response: httpx2.Response = await self._client.post(path, cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            response = error.response
        except openai.APITimeoutError as error:
            raise TimedOutError("connecting took too long") from error
        except openai.APIConnectionError as error:
            raise UnreachableError(_cause(error)) from error
        return Answer(response.status_code, response.headers, response.content)


def _sdk_client(endpoint: Endpoint, http: httpx2.AsyncClient) -> Any:
    try:
        import openai
    except ImportError as error:
        raise CandorError(Reason.BACKEND_MISSING, "the openai package is missing: pip install openai") from error

    headers: dict[str, Any] = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"candor/{VERSION}",
        "Authorization": f"Bearer {endpoint.api_key}" if endpoint.api_key else openai.Omit(),
    }

    class Client(openai.AsyncOpenAI):
        @property
        def default_headers(self) -> dict[str, Any]:
            return headers

        def _validate_headers(self, headers: Any, custom_headers: Any) -> None:
            """No key is fine: a local endpoint needs none."""

    return Client(
        api_key=endpoint.api_key or "none", base_url=endpoint.base_url, http_client=http, max_retries=0, timeout=None
    )


def _cause(error: BaseException) -> str:
    """The innermost words about a broken connection."""
    seen: BaseException = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    text = str(seen) or type(seen).__name__
    if isinstance(seen, OSError) and seen.strerror:
        text = seen.strerror
    return text
