"""The issuer's keys over real HTTP: what is sent, what is taken, and what is not followed."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chassis.auth.jwks import fetcher
from chassis.errors import CandorError, Reason


class Issuer(BaseHTTPRequestHandler):
    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization"))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/keys")
            self.end_headers()
            return
        body = b"x" * 2_000_000 if self.path == "/large" else b'{"keys": []}'
        self.send_response(503 if self.path == "/away" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def issuer() -> Iterator[str]:
    Issuer.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # whoever reads too much hangs up
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_keys_are_fetched_with_the_token_of_the_file_as_it_is_now(issuer: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    fetch = fetcher(f"{issuer}/keys", None, token)
    for value in ("first", "second"):
        token.write_text(f"{value}\n")
        assert await fetch() == b'{"keys": []}'
    assert Issuer.seen == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("path", "said"), [("/away", "answers 503"), ("/moved", "answers 302"), ("/large", "more than 1,000,000 bytes")]
)
async def test_anything_else_is_said_and_may_be_tried_again(issuer: str, path: str, said: str) -> None:
    with pytest.raises(CandorError, match=said) as caught:
        await fetcher(issuer + path, None, None)()
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE


async def test_an_issuer_or_a_file_that_is_not_there_is_named(unused_tcp_port: int, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/keys"
    for token in (None, tmp_path / "absent"):
        with pytest.raises(CandorError, match="/keys cannot be read"):
            await fetcher(url, None, token)()
