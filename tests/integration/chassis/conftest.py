"""A service that does what the tests tell it, and self-made certificates."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.metrics import Metrics
from chassis.serving import Service, always_ready

NAME = "candor.inference.v1.InferenceService"


class Servicer(inference_pb2_grpc.InferenceServiceServicer):
    """Calls `behaviour`; streams five items, `behaviour` before each."""

    def __init__(self, behaviour: Callable[[], Awaitable[None]]) -> None:
        self.behaviour = behaviour

    async def DescribeModel(self, request: Any, context: Any) -> pb.DescribeModelResponse:  # noqa: N802
        await self.behaviour()
        return pb.DescribeModelResponse(identity=pb.ModelIdentity(digest="sha256:1"))

    async def BatchGenerate(self, request: Any, context: Any) -> AsyncIterator[pb.BatchGenerateResponse]:  # noqa: N802
        for index in range(5):
            await self.behaviour()
            yield pb.BatchGenerateResponse(index=index)


async def nothing() -> None:
    """A call that is done at once."""


@pytest.fixture
def service() -> Callable[..., Service]:
    """Builds a service around a behaviour."""

    def build(
        behaviour: Callable[[], Awaitable[None]] = nothing, ready: Callable[[], Awaitable[bool]] = always_ready
    ) -> Service:
        def register(server: grpc.aio.Server) -> None:
            inference_pb2_grpc.add_InferenceServiceServicer_to_server(Servicer(behaviour), server)  # type: ignore[abstract]

        return Service(names=[NAME], register=register, metrics=Metrics("test"), ready=ready)

    return build


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server signed by it for 127.0.0.1, a client signed by it, and a stranger's client."""

    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


ALGORITHMS = {"ecdsa": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}


@dataclass(frozen=True)
class Pki:
    """Makes authorities and certificates of either algorithm in a folder, with the openssl program."""

    openssl: str
    folder: Path

    def _run(self, *arguments: str) -> None:
        subprocess.run([self.openssl, *arguments], check=True, capture_output=True, cwd=self.folder)

    def authority(self, name: str, algorithm: str = "ecdsa") -> Path:
        """A self-signed authority; gives its certificate."""
        self._run(
            *("req", "-x509", "-newkey", *ALGORITHMS[algorithm], "-nodes", "-days", "2"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"),
        )
        return self.folder / f"{name}.pem"

    def signed(
        self, name: str, by: str, algorithm: str = "ecdsa", names: str = "IP:127.0.0.1,DNS:localhost"
    ) -> tuple[Path, Path]:
        """A certificate for `names`, signed by an authority; gives certificate and key."""
        self._run(
            *("req", "-newkey", *ALGORITHMS[algorithm], "-nodes", "-keyout", f"{name}.key"),
            *("-out", f"{name}.csr", "-subj", f"/CN={name}"),
        )
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial"),
            *("-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext"),
        )
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("TLS was not tested: there is no openssl program to make certificates with")
    return Pki(openssl, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def certificates(pki: Pki) -> Certificates:
    ca = pki.authority("ca")
    pki.authority("other-ca")
    return Certificates(
        ca=ca,
        server=pki.signed("server", "ca"),
        client=pki.signed("client", "ca"),
        stranger=pki.signed("stranger", "other-ca"),
    )


@dataclass
class Latch:
    """A call waits at the latch until the test opens it; the test sees when one has arrived."""

    arrived: asyncio.Event
    opened: asyncio.Event

    async def __call__(self) -> None:
        self.arrived.set()
        await self.opened.wait()


@pytest.fixture
def latch() -> Latch:
    return Latch(asyncio.Event(), asyncio.Event())
