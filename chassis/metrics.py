"""Prometheus metrics of a server. Label values come from fixed sets: method names, status codes, outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, start_http_server

from chassis.errors import Reason
from chassis.version import VERSION

_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """One registry with the metrics that every service has.

    Args:
        service: Name of the service.

    Attributes:
        registry: Where a service adds its own.
        address: `host:port` of /metrics while it is served, else empty.
        calls: Finished calls by method and status code.
        latency: Seconds of calls by method.
        in_flight: Calls under way by method.
        items: Finished items of batches by operation and outcome.
        tokens: By kind, as backends counted them.
        retries: Repeated requests by cause.
        queue: Pieces of work that were accepted and are not finished, by queue.
        ready: 1 while health says SERVING.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.address = ""
        registry = self.registry = CollectorRegistry()
        self.calls = Counter("candor_rpc_calls", "Finished calls.", ["method", "code"], registry=registry)
        self.latency = Histogram(
            "candor_rpc_seconds", "Duration of calls.", ["method"], buckets=_LATENCY_BUCKETS, registry=registry
        )
        self.in_flight = Gauge("candor_rpc_in_flight", "Calls under way.", ["method"], registry=registry)
        self.items = Counter("candor_items", "Finished items of batches.", ["operation", "outcome"], registry=registry)
        self.tokens = Counter("candor_tokens", "Tokens as backends counted them.", ["kind"], registry=registry)
        self.retries = Counter("candor_retries", "Repeated requests.", ["cause"], registry=registry)
        self.queue = Gauge("candor_queue_depth", "Accepted and not finished.", ["queue"], registry=registry)
        self.ready = Gauge("candor_ready", "Whether health says SERVING.", registry=registry)
        self._turns = self.queue.labels("endpoint_turns")
        build = Info("candor_build", "What runs.", registry=registry)
        build.info({"service": service, "version": VERSION})
        ProcessCollector(registry=registry)

    def retried(self, reason: Reason) -> None:
        """A request failed and is made again."""
        self.retries.labels(reason.name).inc()

    def waits(self, change: int) -> None:
        """So many more requests (or fewer) wait for their turn at an endpoint that takes only some at once."""
        self._turns.inc(change)

    def accepted(self, queue: str, number: int) -> AbstractContextManager[Callable[[], None]]:
        """`outstanding` in a queue of this name, which is from a fixed set."""
        return outstanding(self.queue.labels(queue), number)

    def expose(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Serve /metrics on its own port (0: a free one); close with `server.shutdown()`."""
        server, thread = start_http_server(port, addr=host, registry=self.registry)
        self.address = f"{host}:{server.server_port}"
        return server, thread


@contextmanager
def outstanding(gauge: Gauge, number: int) -> Iterator[Callable[[], None]]:
    """Add pieces of work to a gauge for the length of the block.

    Yields:
        To be called as each is finished; what is left when the block ends was given up.
    """
    gauge.inc(number)
    left = number

    def finished() -> None:
        nonlocal left
        left -= 1
        gauge.dec()

    try:
        yield finished
    finally:
        gauge.dec(left)
