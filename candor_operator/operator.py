"""The operator: kopf watches the resources and keeps the time, the reconciler takes the steps."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import kopf

from candor_operator.cluster import Cluster, NotWritten
from candor_operator.domain.absorbing import Notice
from candor_operator.orchestrator import Orchestrator
from candor_operator.pulse import Pulse
from candor_operator.reconciler import Reconciler, Unstopped
from candor_operator.settings import OperatorSettings
from candor_operator.standby import leaders, peering_path
from chassis.clients import Target, connect
from chassis.custom_resource import GROUP, PLURAL, VERSION

FINALIZER = f"{GROUP}/stop"
_TICK_SECONDS = 1.0
_LETS_GO_SECONDS = 5.0
_AGAIN_SECONDS = 5.0
_RESOURCE = (GROUP, VERSION, PLURAL)
_LOGGER = logging.getLogger("candor_operator")


async def operate(
    settings: OperatorSettings, *, ready: asyncio.Event | None = None, stop: asyncio.Event | None = None
) -> None:
    """Follow evaluations until told to stop, or by SIGTERM."""
    channel = connect(Target.from_settings(settings))
    pulse = Pulse(time.monotonic, 2.5 * settings.watch_seconds)
    cluster = Cluster(pulse)
    reconciler = Reconciler(
        Orchestrator(channel),
        cluster,
        poll_seconds=settings.poll_seconds,
        retry_seconds=settings.retry_seconds,
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
    )
    registry = kopf.OperatorRegistry()
    _register_session(registry, cluster)
    _register_steps(registry, reconciler)
    _register_deletion(registry, reconciler, settings.give_up_seconds)
    _register_signs_of_life(registry, settings, cluster, pulse, reconciler)
    endpoint = f"http://{settings.liveness_host}:{settings.liveness_port}/healthz" if settings.liveness_port else None
    try:
        await kopf.operator(
            registry=registry,
            settings=_framework(settings),
            namespaces=settings.namespaces,
            clusterwide=settings.cluster_wide,
            standalone=not settings.peering,
            peering_name=settings.peering or None,
            priority=settings.peering_priority,
            identity=settings.identity,  # type: ignore[arg-type]  # a NewType that kopf does not export
            liveness_endpoint=endpoint,
            ready_flag=ready,
            stop_flag=stop,
        )
    finally:
        await channel.close()


def _framework(settings: OperatorSettings) -> kopf.OperatorSettings:
    found = kopf.OperatorSettings()
    found.watching.server_timeout = settings.watch_seconds
    found.watching.client_timeout = settings.watch_seconds + 15
    found.watching.inactivity_timeout = settings.watch_seconds + 10
    found.watching.connect_timeout = 10
    found.networking.connect_timeout = 10
    found.networking.request_timeout = 30
    found.networking.error_backoffs = (1, 2, 3, 5)  # what the rights do not allow is done without, soon
    found.peering.lifetime = settings.peering_seconds
    found.persistence.finalizer = FINALIZER
    found.persistence.diffbase_storage = _NothingKept()
    found.persistence.progress_storage = kopf.StatusProgressStorage()
    found.posting.reporting_component = "candor-operator"
    found.posting.reporting_instance = settings.identity
    found.posting.event_name_prefix = "candor-"
    return found


class _NothingKept(kopf.DiffBaseStorage):
    """The framework is not asked what changed, so it keeps no copy of the spec in an annotation."""

    def fetch(self, *, body: kopf.Body) -> None:
        """There is none."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


def _register_steps(registry: kopf.OperatorRegistry, reconciler: Reconciler) -> None:
    def held(meta: kopf.Meta, **_: object) -> bool:
        """Nothing is started for an object that could vanish without a word."""
        return FINALIZER in meta.get("finalizers", ())

    @kopf.daemon(*_RESOURCE, id="follow", registry=registry, when=held, cancellation_timeout=_LETS_GO_SECONDS)
    async def follow(body: kopf.Body, **_: object) -> None:
        """Step by step. Unlike a timer it is cancelled, in the midst of a call, when this operator gives way to another."""
        while True:
            try:
                for notice in await reconciler.step(dict(body)):
                    _tell(body, notice)
            except NotWritten as error:
                raise kopf.TemporaryError(str(error), delay=_AGAIN_SECONDS) from error
            await asyncio.sleep(_TICK_SECONDS)


def _register_deletion(registry: kopf.OperatorRegistry, reconciler: Reconciler, give_up_seconds: float) -> None:
    @kopf.on.delete(*_RESOURCE, id="stop", registry=registry)
    async def stop(body: kopf.Body, runtime: timedelta, **_: object) -> None:
        try:
            notice = await reconciler.stop(dict(body))
        except Unstopped as error:
            if runtime.total_seconds() < give_up_seconds:
                raise kopf.TemporaryError(f"not stopped yet: {error}", delay=_AGAIN_SECONDS) from error
            text = f"the orchestrator could not be asked for {give_up_seconds:.0f} s, what it runs goes on: {error}"
            _tell(body, Notice("Warning", "NotStopped", text))
        else:
            if notice is not None:
                _tell(body, notice)


def _register_session(registry: kopf.OperatorRegistry, cluster: Cluster) -> None:
    @kopf.on.login(id="log-in", registry=registry)
    async def log_in(settings: kopf.OperatorSettings, **_: object) -> kopf.AiohttpSession:
        return cluster.log_in(settings)


def _register_signs_of_life(
    registry: kopf.OperatorRegistry,
    settings: OperatorSettings,
    cluster: Cluster,
    pulse: Pulse,
    reconciler: Reconciler,
) -> None:
    @kopf.on.event(*_RESOURCE, id="seen", registry=registry)
    def brought(type: str | None, meta: kopf.Meta, **_: object) -> None:  # noqa: A002  # kopf names it
        pulse.brought(meta["uid"])
        if type == "DELETED":
            reconciler.forget(meta["uid"])

    @kopf.on.probe(id="watch", registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def watch(**_: object) -> str:
        trouble = pulse.trouble()
        if not trouble:
            return "the watch lives"
        if settings.peering:
            for namespace in settings.namespaces or (None,):
                peering = await cluster.get(peering_path(settings.peering, namespace))
                for leader in leaders(peering, settings.identity, settings.peering_priority, datetime.now(UTC)):
                    pulse.restart()
                    return f"{leader} leads"
        raise kopf.PermanentError(trouble)


def _tell(body: kopf.Body, notice: Notice) -> None:
    _LOGGER.info("%s/%s: %s: %s", body.metadata.namespace, body.metadata.name, notice.reason, notice.message)
    kopf.event(body, type=notice.kind, reason=notice.reason, message=notice.message)
