import pytest

from chassis import keepalive


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "localhost:50051", "[::1]:50051", "dns:///127.0.0.1:50051"])
def test_a_process_of_this_machine_is_not_asked_whether_its_node_lives(address: str) -> None:
    assert keepalive.client_options(address) == []


@pytest.mark.parametrize(
    "address", ["grader:50051", "dns:///grader.candor.svc:50051", "10.0.0.7:50051", "[fd00::7]:50051"]
)
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])  # the latter through a tunnel
def test_a_server_across_the_network_is_asked_more_rarely_than_it_allows(address: str, host: str) -> None:
    client, server = dict(keepalive.client_options(address)), dict(keepalive.server_options(host))
    assert client["grpc.keepalive_time_ms"] > server["grpc.http2.min_ping_interval_without_data_ms"]
