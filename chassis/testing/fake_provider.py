"""A provider for tests: chat completions and a fine-tuning API behind one URL; what was fine-tuned is then served.

`with FakeProvider(answer) as provider:` and then `provider.base_url`, `provider.tuning.jobs`, `provider.calls`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from chassis.testing.fake_endpoint import FakeEndpoint
from chassis.testing.fake_endpoint.endpoint import Answer
from chassis.testing.fake_endpoint.http_server import Request, Response
from chassis.testing.fake_finetuning import FakeFineTuning


class FakeProvider(FakeEndpoint):
    """The server.

    Attributes:
        tuning: The fine-tuning API.
        withdrawn: Models that were made and are not served.
    """

    def __init__(self, answer: Answer, *, models: Iterable[str], key: str = "", **options: Any) -> None:
        super().__init__(answer, models=models, key=key, **options)
        self.tuning = FakeFineTuning(key)
        self.withdrawn: set[str] = set()

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """See the endpoint."""
        if request.path.startswith(("/v1/files", "/v1/fine_tuning/")):
            return self.tuning.answer(request)
        self.models |= self.tuning.models.keys()
        self.models -= self.withdrawn
        return super().handle(request)
