"""The HTTP side, on the openai SDK and httpx: one POST, its status, headers and body. Nothing is retried here.

The SDK reads keys, organisations and extra headers from the environment; a subject's URL must never receive them, so
the headers are fixed here. Redirects are not followed: they could leave the allowed hosts with the key.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chassis.addresses import Resolver, has_proxy, reachable
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


class Http:
    """Connections that several endpoints may share; as many as requests are under way. Opened at first use.

    Args:
        addresses: The addresses of a host; raises CandorError when it may not be called.
        connect_seconds: For a new connection.
    """

    def __init__(self, addresses: Resolver = reachable, connect_seconds: float = 10.0) -> None:
        self._addresses = addresses
        self._connect_seconds = connect_seconds
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    def client(self, base_url: str) -> httpx2.AsyncClient:
        """The client for a URL: straight, or through the proxy that the environment names for it."""
        proxied = has_proxy(base_url)
        if proxied not in self._clients:
            self._clients[proxied] = self._through_proxy() if proxied else self._straight()
        return self._clients[proxied]

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    def _straight(self) -> httpx2.AsyncClient:
        import httpx2

        from chassis.llm.transport import DirectTransport

        transport = DirectTransport(self._addresses, self._connect_seconds, httpx2.create_ssl_context())
        return httpx2.AsyncClient(transport=transport, timeout=None, follow_redirects=False)

    def _through_proxy(self) -> httpx2.AsyncClient:
        import httpx2

        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = httpx2.Timeout(None, connect=self._connect_seconds)
        return httpx2.AsyncClient(limits=limits, timeout=timeout, follow_redirects=False)


class Wire:
    """One endpoint."""

    def __init__(self, endpoint: Endpoint, http: Http) -> None:
        self._client = _sdk_client(endpoint, http.client(endpoint.base_url))

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
    if isinstance(seen, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({seen.verify_message}); set SSL_CERT_FILE to your authority's"
    if isinstance(seen, OSError) and not isinstance(seen, ssl.SSLError) and seen.errno and seen.errno > 0:
        return os.strerror(seen.errno)
    return str(seen) or type(seen).__name__
