"""The test kit that ships with Candor: real servers on loopback, and an endpoint that misbehaves on purpose."""

from chassis.testing.fake_endpoint import Call, FakeEndpoint, Fault, LoggedCall, Sycophant, read_log, read_table
from chassis.testing.running import running

__all__ = ["Call", "FakeEndpoint", "Fault", "LoggedCall", "Sycophant", "read_log", "read_table", "running"]
