"""Run a gRPC server: one `serve` for a pod, the embedded suite and a test.

Stopping drains, in the order that Kubernetes wants: health turns first; then new connections are refused, which
clients take as UNAVAILABLE and try elsewhere, while calls under way get `drain_seconds`; health's own port closes last.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_NAME
from grpc_reflection.v1alpha import reflection

from chassis import keepalive
from chassis.addresses import is_loopback
from chassis.auth.gatekeeper import Gatekeeper
from chassis.errors import CandorError, Reason
from chassis.health import Health, probe_server
from chassis.interceptor import CallInterceptor
from chassis.logs import get_logger
from chassis.metrics import Metrics
from chassis.settings import ServerSettings
from chassis.tls import server_credentials
from chassis.tracing import Tracer


async def always_ready() -> bool:
    """Readiness of a service without dependencies."""
    return True


async def nothing_to_close() -> None:
    """Closing of a service that holds nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a composition root hands to `serve`.

    Attributes:
        names: Full names of the proto services, for health and reflection.
        register: Adds the servicers to the server.
        metrics: The registry that calls are counted in.
        ready: Whether the service can do its work now.
        tracer: Makes a span of each call; None: as the settings say.
        close: Frees what the composition root built; called after the last call ended.
    """

    names: Sequence[str]
    register: Callable[[grpc.aio.Server], None]
    metrics: Metrics
    ready: Callable[[], Awaitable[bool]] = always_ready
    tracer: Tracer | None = None
    close: Callable[[], Awaitable[None]] = nothing_to_close


def server_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Channel options that differ from gRPC's defaults, each with its reason."""
    return [
        # Batches of 1,024 replies of 300 tokens are larger than 4 MiB.
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # A port that is taken is an error, not a silent share.
        ("grpc.so_reuseport", 0),
        *keepalive.server_options(settings.host),
    ]


async def serve(
    service: Service,
    settings: ServerSettings,
    *,
    started: asyncio.Future[int],
    stop: asyncio.Event,
) -> None:
    """Serve until `stop` is set; `started` receives the port once the server accepts calls.

    Raises:
        CandorError: The address cannot be bound, or a TLS file cannot be read.
    """
    tracer = service.tracer or Tracer.from_settings(service.metrics.service, settings.tracing)
    try:
        await _serve(service, settings, tracer, started, stop)
    finally:
        await service.close()
        await tracer.close()


async def _serve(
    service: Service, settings: ServerSettings, tracer: Tracer, started: asyncio.Future[int], stop: asyncio.Event
) -> None:
    log = get_logger(service.metrics.service)
    gatekeeper = Gatekeeper.from_settings(settings)
    server = grpc.aio.server(
        interceptors=[CallInterceptor(service.metrics, gatekeeper, tracer)], options=server_options(settings)
    )
    service.register(server)
    health = Health(service.names, service.ready, settings.ready_interval_seconds, service.metrics.ready)
    health.add_to(server)
    reflection.enable_server_reflection([*service.names, HEALTH_NAME, reflection.SERVICE_NAME], server)
    port = _bind(server, settings)
    probes = _probes(health, settings)
    exporter = _export(service.metrics, settings)
    await health.begin()  # before the first call can ask
    for each in filter(None, (probes, server)):
        await each.start()
    watcher = asyncio.create_task(health.keep())
    stopping = asyncio.create_task(stop.wait())
    started.set_result(port)
    if gatekeeper.open_to_all and not is_loopback(settings.host) and not settings.tls_client_ca_file:
        log.warning("whoever reaches this port may call: give CALLERS_FILE, TOKEN_SHA256, OIDC or TLS_CLIENT_CA_FILE")
    log.info("serving", host=settings.host, port=port, tls=settings.tls_cert_file is not None)
    try:
        done, _ = await asyncio.wait([stopping, watcher], return_when=asyncio.FIRST_COMPLETED)
        if watcher in done:
            watcher.result()  # a readiness check with a defect: better no server than one with stale health
    finally:
        watcher.cancel()
        stopping.cancel()
        await health.drain()
        await server.stop(settings.drain_seconds)  # new connections are refused, calls under way go on
        if probes is not None:
            await probes.stop(None)  # last: probes see NOT_SERVING to the end
        if exporter is not None:
            exporter.shutdown()
            exporter.server_close()
        log.info("stopped", port=port)


async def serve_until_signal(service: Service, settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT: the whole of a service's `__main__`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(service, settings, started=loop.create_future(), stop=stop)


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    if settings.tls_cert_file and settings.tls_key_file:
        credentials = server_credentials(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
        return _listen(settings, settings.port, lambda address: server.add_secure_port(address, credentials))
    return _listen(settings, settings.port, server.add_insecure_port)


def _probes(health: Health, settings: ServerSettings) -> grpc.aio.Server | None:
    if settings.health_port is None:
        return None
    server = probe_server(health)
    _listen(settings, settings.health_port, server.add_insecure_port)
    return server


def _listen(settings: ServerSettings, port: int, add_port: Callable[[str], int]) -> int:
    address = f"{settings.host}:{port}"
    try:
        return add_port(address)
    except RuntimeError as error:
        message = f"cannot listen on {address}: the port is taken or not ours"
        raise CandorError(Reason.INVALID_REQUEST, message) from error


def _export(metrics: Metrics, settings: ServerSettings) -> WSGIServer | None:
    if settings.metrics_port is None:
        return None
    try:
        exporter, _ = metrics.expose(settings.host, settings.metrics_port)
    except OSError as error:
        where = f"{settings.host}:{settings.metrics_port}"
        raise CandorError(Reason.INVALID_REQUEST, f"metrics cannot listen on {where}: {error.strerror}") from error
    return exporter
