"""How a server may listen."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chassis.settings import ServerSettings


def problem(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ServerSettings(**values)
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_plaintext_is_for_loopback(host: str) -> None:
    assert ServerSettings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "grader.internal"])
def test_plaintext_off_loopback_needs_an_explicit_yes(host: str) -> None:
    assert "allow_plaintext" in problem(host=host)
    assert ServerSettings(host=host, allow_plaintext=True).host == host
    assert ServerSettings(host=host, tls_cert_file=Path("c"), tls_key_file=Path("k")).host == host


def test_half_a_tls_setting_is_named() -> None:
    assert "go together" in problem(tls_cert_file=Path("c"))
    assert "tls_client_ca_file needs" in problem(tls_client_ca_file=Path("c"))


def test_a_token_is_given_hashed() -> None:
    assert "never the token itself" in problem(token_sha256="my-secret-token")
    assert ServerSettings(token_sha256="0" * 64).token_sha256 == "0" * 64
