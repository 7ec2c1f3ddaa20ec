"""The keys that an issuer signs with, from a file or a URL; kept, and read again as they rotate."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from chassis.errors import CandorError, Reason
from chassis.logs import get_logger
from chassis.watched import Watched

if TYPE_CHECKING:
    from jwt import PyJWK

_MOST_BYTES = 1_000_000
_FETCH_SECONDS = 10.0
_NO_SET = 'is no JWK set: a JSON object with "keys", a list of objects'
_COOLDOWN_SECONDS = 10.0  # a flood of tokens with unknown keys asks the issuer this rarely

Keys = Mapping[str, "PyJWK"]


class KeySource(Protocol):
    """Where keys come from."""

    async def key(self, key_id: str) -> PyJWK | None:
        """The key of this id. Raises CandorError SERVICE_UNAVAILABLE while no key was ever read."""


def parse(content: bytes) -> Keys:
    """The asymmetric signature keys of a JWK set, by their ids. Raises CandorError INVALID_REQUEST."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        entries: list[Any] = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CandorError(Reason.INVALID_REQUEST, _NO_SET) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CandorError(Reason.INVALID_REQUEST, _NO_SET)
    found = {}
    for entry in entries:
        # A symmetric key in a public set would let anybody who read it sign.
        if entry.get("kty") not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig" or not entry.get("kid"):
            continue
        try:
            found[str(entry["kid"])] = PyJWK(entry)
        except (PyJWTError, TypeError):  # a kind of key that is newer than our library; others may do
            continue
    if not found:
        raise CandorError(Reason.INVALID_REQUEST, "has no signature key (RSA, EC or OKP, with a kid)")
    return found


class FileKeys:
    """Keys from a file, read again when it changes. Raises CandorError when it cannot be used at the start."""

    def __init__(self, path: Path) -> None:
        def make(content: bytes) -> Keys:
            try:
                return parse(content)
            except CandorError as error:
                raise CandorError(error.reason, f"{path} {error.message}") from error

        self._keys = Watched([path], make)

    async def key(self, key_id: str) -> PyJWK | None:
        """See KeySource."""
        return self._keys.get().get(key_id)


class UrlKeys:
    """Keys from a URL, fetched by one task at a time.

    A call waits for it if it needs a key that is not there, or if the keys are too old, as the issuer may have removed one.
    If the issuer does not answer, the old keys stay, and calls do not wait until its silence is as old.

    Args:
        fetch: Gets the set.
        refresh_seconds: How old keys may be before they are fetched again.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        refresh_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._keys: Keys = {}
        self._failure = ""
        self._tried = self._ended = self._read = float("-inf")  # last fetch: begun, ended, succeeded
        self._task: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> PyJWK | None:
        """See KeySource."""
        now = self._clock()
        if key_id not in self._keys or now - self._ended > self._refresh_seconds:
            await self._fetched()
        elif now - self._read > self._refresh_seconds:
            self._start()
        if not self._keys:
            raise CandorError(Reason.SERVICE_UNAVAILABLE, f"tokens cannot be checked now: {self._failure}")
        return self._keys.get(key_id)

    async def _fetched(self) -> None:
        self._start()
        if self._task is not None:
            await asyncio.shield(self._task)  # a call that is given up does not end what others wait for

    def _start(self) -> None:
        if (self._task is None or self._task.done()) and self._clock() - self._tried >= _COOLDOWN_SECONDS:
            self._tried = self._clock()
            self._task = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                self._keys = parse(await self._fetch())
        except TimeoutError:
            self._failure = f"the issuer's keys did not come within {_FETCH_SECONDS:.0f} s"
        except CandorError as error:
            self._failure = f"the issuer's keys: {error.message}"
        else:
            self._read, self._failure = self._clock(), ""
            return
        finally:
            self._ended = self._clock()
        get_logger("oidc").warning("keys were not read; the old ones stay", error=self._failure, keys=len(self._keys))


def fetcher(url: str, ca_file: Path | None, token_file: Path | None) -> Callable[[], Awaitable[bytes]]:
    """Fetches a URL; redirects are not followed."""
    import httpx2

    def prepared() -> tuple[ssl.SSLContext, dict[str, str]]:
        """Both files may have been rotated since the last time."""
        headers = {"Authorization": f"Bearer {token_file.read_text('ascii').strip()}"} if token_file else {}
        return ssl.create_default_context(cafile=ca_file), headers

    async def fetch() -> bytes:
        try:
            context, headers = await asyncio.to_thread(prepared)
            async with (
                httpx2.AsyncClient(verify=context, timeout=_FETCH_SECONDS, follow_redirects=False) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                return await _body(response)
        except (httpx2.HTTPError, OSError, UnicodeError) as error:
            raise CandorError(Reason.SERVICE_UNAVAILABLE, f"{url} cannot be read ({type(error).__name__})") from error

    async def _body(response: httpx2.Response) -> bytes:
        if response.status_code != 200:
            raise CandorError(Reason.SERVICE_UNAVAILABLE, f"{url} answers {response.status_code}")
        content = b""
        async for part in response.aiter_bytes():
            content += part
            if len(content) > _MOST_BYTES:
                raise CandorError(Reason.SERVICE_UNAVAILABLE, f"{url} sends more than {_MOST_BYTES:,} bytes")
        return content

    return fetch
