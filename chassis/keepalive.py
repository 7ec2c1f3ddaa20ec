"""How a client notices that a server's node has died: it asks on connections whose calls hear nothing."""

from __future__ import annotations

SILENCE_MS = 30_000  # before a call's server is asked whether it lives
PATIENCE_MS = 10_000  # with its answer


def client_options() -> list[tuple[str, int]]:
    """For channels. Without them a batch would wait for its deadline, half an hour."""
    return [
        ("grpc.keepalive_time_ms", SILENCE_MS),
        ("grpc.keepalive_timeout_ms", PATIENCE_MS),
        ("grpc.http2.max_pings_without_data", 0),  # no end to asking
        ("grpc.http2.ping_timeout_ms", PATIENCE_MS),  # a minute otherwise, and the longer one counts
    ]


def server_options() -> list[tuple[str, int]]:
    """For servers, which otherwise take more than one question in five minutes for a flood and hang up."""
    return [("grpc.http2.min_ping_interval_without_data_ms", SILENCE_MS // 2)]
