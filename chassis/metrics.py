"""Prometheus metrics of a server. Label values come from fixed sets: method names, status codes, outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

from chassis.version import VERSION

_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True)
class Metrics:
    """One registry with the metrics that every service has."""

    service: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    calls: Counter = field(init=False)
    latency: Histogram = field(init=False)
    in_flight: Gauge = field(init=False)
    items: Counter = field(init=False)
    tokens: Counter = field(init=False)
    retries: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register the metrics; frozen, so each is set once here."""

        def put(name: str, metric: Any) -> None:
            object.__setattr__(self, name, metric)

        registry = self.registry
        put("calls", Counter("candor_rpc_calls", "Finished calls.", ["method", "code"], registry=registry))
        put(
            "latency",
            Histogram(
                "candor_rpc_seconds", "Duration of calls.", ["method"], buckets=_LATENCY_BUCKETS, registry=registry
            ),
        )
        put("in_flight", Gauge("candor_rpc_in_flight", "Calls under way.", ["method"], registry=registry))
        put("items", Counter("candor_items", "Finished items of batches.", ["operation", "outcome"], registry=registry))
        put("tokens", Counter("candor_tokens", "Tokens as backends counted them.", ["kind"], registry=registry))
        put("retries", Counter("candor_retries", "Repeated upstream requests.", ["cause"], registry=registry))
        Info("candor_build", "What runs.", registry=registry).info({"service": self.service, "version": VERSION})

    def expose(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Serve /metrics on its own port (0: a free one); close with `server.shutdown()`."""
        return start_http_server(port, addr=host, registry=self.registry)
