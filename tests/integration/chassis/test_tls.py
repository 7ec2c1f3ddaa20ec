"""TLS from files, and mutual TLS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.clients import Target, connect, translated
from chassis.errors import CandorError, Reason
from chassis.serving import Service
from chassis.settings import ClientSettings, ServerSettings
from chassis.testing import running

Build = Callable[..., Service]


async def describe(target: Target) -> str:
    channel = connect(target)
    try:
        with translated("inference"):
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            return str((await stub.DescribeModel(pb.DescribeModelRequest(), timeout=5)).identity.digest)
    finally:
        await channel.close()


async def refused(target: Target) -> None:
    with pytest.raises(CandorError) as caught:
        await describe(target)
    assert caught.value.reason in (Reason.SERVICE_UNAVAILABLE, Reason.DEADLINE_EXCEEDED)


async def test_a_caller_who_trusts_the_authority_is_served_and_plaintext_is_not(
    service: Build, certificates: Any
) -> None:
    cert, key = certificates.server
    async with running(service(), ServerSettings(tls_cert_file=cert, tls_key_file=key)) as address:
        target = Target.from_settings(ClientSettings(target=address, tls_ca_file=certificates.ca))
        assert await describe(target) == "sha256:1"
        await refused(Target(address))


async def test_mutual_tls_serves_only_callers_signed_by_the_authority(service: Build, certificates: Any) -> None:
    cert, key = certificates.server
    settings = ServerSettings(tls_cert_file=cert, tls_key_file=key, tls_client_ca_file=certificates.ca)
    async with running(service(), settings) as address:

        def target(pair: tuple[Path, Path] | None) -> Target:
            cert_file, key_file = pair or (None, None)
            return Target.from_settings(
                ClientSettings(
                    target=address, tls_ca_file=certificates.ca, tls_cert_file=cert_file, tls_key_file=key_file
                )
            )

        assert await describe(target(certificates.client)) == "sha256:1"
        await refused(target(None))
        await refused(target(certificates.stranger))


async def test_an_unreadable_tls_file_is_named(service: Build, tmp_path: Path, certificates: Any) -> None:
    settings = ServerSettings(tls_cert_file=tmp_path / "absent.pem", tls_key_file=certificates.server[1])
    with pytest.raises(CandorError, match=r"absent\.pem"):
        async with running(service(), settings):
            raise AssertionError("served without a certificate")
    with pytest.raises(CandorError, match="absent"):
        Target.from_settings(ClientSettings(target="a:1", token_file=tmp_path / "absent"))
