"""TLS files and tokens that are replaced while server and client run: no restart, and no call is lost."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.clients import Target, connect, translated
from chassis.errors import CandorError, Reason
from chassis.serving import Service
from chassis.settings import ClientSettings, ServerSettings
from chassis.testing import running

Build = Callable[..., Service]


class Mounted:
    """A folder as kubelet mounts a Secret: names are links through `..data`, which is swapped in one step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0

    def put(self, **files: bytes) -> None:
        self._count += 1
        version = self.folder / f"..{self._count}"
        version.mkdir(parents=True)
        for name, content in files.items():
            (version / name).write_bytes(content)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data", name))
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.replace(self.folder / "..data")

    def __getattr__(self, name: str) -> Path:
        return self.folder / name


async def describe(channel: grpc.aio.Channel) -> str:
    with translated("inference"):
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        return str((await stub.DescribeModel(pb.DescribeModelRequest(), timeout=10)).identity.digest)


def identity(pki: Any, mounted: Mounted, ca: str, name: str, algorithm: str) -> None:
    cert, key = pki.signed(f"{name}-{ca}", ca, algorithm)
    mounted.put(crt=cert.read_bytes(), key=key.read_bytes(), ca=(pki.folder / f"{ca}.pem").read_bytes())


def settings_of(server: Mounted, client: Mounted, address: str = "") -> tuple[ServerSettings, ClientSettings]:
    return (
        ServerSettings(tls_cert_file=server.crt, tls_key_file=server.key, tls_client_ca_file=server.ca),
        ClientSettings(target=address, tls_ca_file=client.ca, tls_cert_file=client.crt, tls_key_file=client.key),
    )


@pytest.mark.parametrize(("before", "after"), [("ecdsa", "rsa"), ("rsa", "ecdsa")])
async def test_both_sides_of_mutual_tls_go_over_to_a_new_authority_without_a_restart(
    service: Build, latch: Any, pki: Any, tmp_path: Path, before: str, after: str
) -> None:
    old, new = f"old-{before}", f"new-{after}"
    pki.authority(old, before)
    pki.authority(new, after)
    server, client = Mounted(tmp_path / "server"), Mounted(tmp_path / "client")
    identity(pki, server, old, "server", before)
    identity(pki, client, old, "client", before)
    serving, calling = settings_of(server, client)
    async with running(service(latch), serving) as address:
        calling.target = address
        target = Target.from_settings(calling)
        async with connect(target) as channel:
            under_way = asyncio.create_task(describe(channel))
            await latch.arrived.wait()

            identity(pki, server, new, "server", after)
            identity(pki, client, new, "client", after)
            latch.opened.set()
            # One call began under the old certificates and ends well; the next ones need the new ones on both sides.
            assert await under_way == "sha256:1"
            assert await describe(channel) == "sha256:1"
        async with connect(target) as fresh:
            assert await describe(fresh) == "sha256:1"
        # Who still has the old certificate is a stranger now.
        pki_old = ClientSettings(
            target=address,
            tls_ca_file=pki.folder / f"{new}.pem",
            tls_cert_file=pki.folder / f"client-{old}.pem",
            tls_key_file=pki.folder / f"client-{old}.key",
        )
        async with connect(Target.from_settings(pki_old)) as stranger:
            with pytest.raises(CandorError) as caught:
                await describe(stranger)
        assert caught.value.reason is Reason.SERVICE_UNAVAILABLE


async def test_a_half_written_rotation_leaves_the_old_certificate_in_force(
    service: Build, pki: Any, tmp_path: Path
) -> None:
    pki.authority("half")
    server, client = Mounted(tmp_path / "server"), Mounted(tmp_path / "client")
    identity(pki, server, "half", "server", "ecdsa")
    identity(pki, client, "half", "client", "ecdsa")
    good = {name: (server.folder / name).read_bytes() for name in ("crt", "key", "ca")}
    serving, calling = settings_of(server, client)
    async with running(service(), serving) as address:
        calling.target = address

        async def call() -> str:
            async with connect(Target.from_settings(calling)) as channel:
                return await describe(channel)

        server.put(**good | {"key": client.key.read_bytes()})  # the key of another certificate
        assert await call() == "sha256:1"
        server.put(**good | {"crt": b"no certificate"})
        assert await call() == "sha256:1"
        server.put(**good)
        assert await call() == "sha256:1"


async def test_a_key_of_another_certificate_is_refused_at_the_start(service: Build, certificates: Any) -> None:
    settings = ServerSettings(tls_cert_file=certificates.server[0], tls_key_file=certificates.client[1])
    with pytest.raises(CandorError, match=r"server\.pem.*client\.key.*cannot be used together"):
        async with running(service(), settings):
            raise AssertionError("served with a key that is not the certificate's")
    with pytest.raises(CandorError, match="go together"):
        Target.from_settings(ClientSettings(target="a:1", tls_cert_file=certificates.client[0]))


async def test_a_streaming_call_on_the_old_channel_ends_well_and_the_old_channel_is_closed(
    service: Build, latch: Any, pki: Any, tmp_path: Path
) -> None:
    pki.authority("streams")
    server, client = Mounted(tmp_path / "server"), Mounted(tmp_path / "client")
    identity(pki, server, "streams", "server", "ecdsa")
    identity(pki, client, "streams", "client", "ecdsa")
    serving, calling = settings_of(server, client)
    async with running(service(latch), serving) as address:
        calling.target = address
        async with connect(Target.from_settings(calling)) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            call = stub.BatchGenerate(pb.BatchGenerateRequest(), timeout=30)
            await latch.arrived.wait()
            old = channel._current  # type: ignore[attr-defined]
            identity(pki, client, "streams", "client", "ecdsa")
            latch.opened.set()
            assert await describe(channel) == "sha256:1"
            assert channel._current is not old  # type: ignore[attr-defined]
            assert [response.index async for response in call] == [0, 1, 2, 3, 4]
            await old._closing
            assert old.closed


async def test_a_token_file_is_read_again_when_it_changes(service: Build, tmp_path: Path) -> None:
    mounted = Mounted(tmp_path / "token")
    mounted.put(token=b"old\n")
    settings = ServerSettings(token_sha256=hashlib.sha256(b"new").hexdigest())
    async with running(service(), settings) as address:
        target = Target.from_settings(ClientSettings(target=address, token_file=mounted.token))
        async with connect(target) as channel:
            with pytest.raises(CandorError) as caught:
                await describe(channel)
            assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED
            mounted.put(token=b"new\n")
            assert await describe(channel) == "sha256:1"
            mounted.put(token=b"two\nlines\n")  # unusable: the old one stays
            assert await describe(channel) == "sha256:1"
