"""Trouble on purpose."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chassis.testing.fake_kubernetes import errors

_WORDS = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden by a test"),
    409: ("Conflict", "there is a conflict by a test"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
}


@dataclass
class Refusal:
    """Requests that are refused.

    Attributes:
        code: HTTP code of the answer.
        left: How many more times.
        what: Pattern of method and path, such as `POST .*/jobs`.
        retry_after: Seconds that the answer asks to wait.
        carried_out: The request is carried out all the same: its answer is what is lost.
    """

    code: int
    left: int = 1
    what: str = ".*"
    retry_after: int = 0
    carried_out: bool = False

    def takes(self, call: str) -> bool:
        """Whether this request is refused; counts it."""
        if self.left <= 0 or not re.fullmatch(self.what, call):
            return False
        self.left -= 1
        return True

    def error(self) -> errors.ApiError:
        """The answer."""
        reason, message = _WORDS.get(self.code, ("", "refused by a test"))
        return errors.ApiError(self.code, reason, message, retry_after=self.retry_after)


@dataclass
class Faults:
    """What is wrong with the server now.

    Attributes:
        refusals: Requests that are refused.
        delay: Seconds before each answer.
    """

    refusals: list[Refusal]
    delay: float = 0.0

    def refusal(self, call: str) -> Refusal | None:
        """The refusal that takes a request (`METHOD path`)."""
        return next((each for each in self.refusals if each.takes(call)), None)
