"""How a client notices that a server's node has died, and that there are new replicas.

Neither can happen between processes of one machine: on loopback nobody asks, and connections have no age.
"""

from __future__ import annotations

from chassis.addresses import is_loopback

SILENCE_MS = 30_000  # before a call's server is asked whether it lives
PATIENCE_MS = 10_000  # with its answer
AGE_MS = 60_000  # of a connection, after which a client asks DNS again
GRACE_MS = 900_000  # for the calls of a connection that is given up


def client_options(address: str) -> list[tuple[str, int]]:
    """For a channel to host:port or dns:///host:port. Without them a batch would wait for its deadline, half an hour."""
    if is_loopback(address.rpartition(":")[0].rpartition("/")[2]):
        return []
    return [
        ("grpc.keepalive_time_ms", SILENCE_MS),
        ("grpc.keepalive_timeout_ms", PATIENCE_MS),
        ("grpc.http2.max_pings_without_data", 0),  # no end to asking
        ("grpc.http2.ping_timeout_ms", PATIENCE_MS),  # a minute otherwise, and the longer one counts
    ]


def server_options(host: str) -> list[tuple[str, int]]:
    """For a server that listens on `host`."""
    # Without this it takes the second question for a flood and hangs up. Who asks may have come through a tunnel.
    allowed = [("grpc.http2.min_ping_interval_without_data_ms", SILENCE_MS // 2)]
    if is_loopback(host):
        return allowed
    return [
        *allowed,
        ("grpc.max_connection_age_ms", AGE_MS),
        ("grpc.max_connection_age_grace_ms", GRACE_MS),
    ]
