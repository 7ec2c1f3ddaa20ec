"""An OpenAI-compatible endpoint for tests: a real HTTP server that answers by a function and misbehaves on purpose.

In a test: `with FakeEndpoint(lambda call: "Paris.") as endpoint:` and then `endpoint.base_url`, `endpoint.calls`.
As a child process: `python -m chassis.testing.fake_endpoint --port 8001 --log calls.jsonl --policy core --table FILE`.
"""

from chassis.testing.fake_endpoint.endpoint import FakeEndpoint
from chassis.testing.fake_endpoint.faults import Fault
from chassis.testing.fake_endpoint.policies import Sycophant, read_table
from chassis.testing.fake_endpoint.traffic import Call, LoggedCall, read_log

__all__ = ["Call", "FakeEndpoint", "Fault", "LoggedCall", "Sycophant", "read_log", "read_table"]
