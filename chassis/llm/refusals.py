"""An HTTP answer that is no reply -> the catalog's error, whether asking again may help, and how long to wait."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chassis.errors import CandorError, Reason
from chassis.llm.values import Endpoint
from chassis.llm.waiting import asked_wait_seconds
from chassis.llm.wire import Answer
from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS
from chassis.text import plain, without_secrets

_TOO_LONG = re.compile(
    r"context.?length|context.?window|maximum context|(?:prompt|input|request) (?:is )?too (?:long|large)"
    r"|too many (?:input )?tokens|longer than the maximum model length|exceeds? the (?:model|maximum|context)",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model.{0,80}(?:not found|does not exist|not exist|unknown|not available|not supported|no such)"
    r"|(?:unknown|invalid|no such) model",
    re.IGNORECASE | re.DOTALL,
)
_NOT_TAKEN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not (?:allowed|permitted|accepted|available|valid)|extra"
    r"|invalid|deprecated|only the default|cannot be (?:used|set)|must not|no longer|refuse",
    re.IGNORECASE,
)
# Said of a parameter as such, whatever else stands there.
_UNSUPPORTED = re.compile(
    r"unsupported parameter|unsupported_(?:parameter|value)|not supported|unrecogni[sz]ed|unknown|unexpected|extra"
    r"|not (?:allowed|permitted|accepted|available)|deprecated|only the default|cannot be (?:used|set)|no longer"
    r"|use \W?max_completion_tokens",
    re.IGNORECASE,
)
# Said of the value that was sent.
_OUT_OF_RANGE = re.compile(
    r"too (?:large|small|high|low|big)|\b(?:above|below|exceeds?|maximum|minimum|between|out of range)\b"
    r"|(?:less|greater|smaller|larger|more|higher|lower) than|at (?:most|least)|[<>]=?",
    re.IGNORECASE,
)
_TIMEOUTS = frozenset({408, 504, 524})
_LATER = _TIMEOUTS | {429}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A failed attempt.

    Attributes:
        error: What the caller sees if no further attempt is made.
        retry: Whether another attempt may help.
        overload: Whether the endpoint had too much to do.
        wait_seconds: What it asked for; 0 if nothing.
    """

    error: CandorError
    retry: bool = False
    overload: bool = False
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """An error body: its words as sent (never shown), and made fit to show."""

    words: str
    quoted: str
    code: str
    parameter: str
    host: str

    @classmethod
    def read(cls, body: bytes, endpoint: Endpoint) -> _Said:
        words, code, parameter = _said(body)
        shown = plain(without_secrets(words, endpoint.api_key))
        return cls(
            words=words, quoted=f": {shown}" if shown else "", code=code, parameter=parameter, host=host(endpoint)
        )

    @property
    def names_no_model(self) -> bool:
        return self.code == "model_not_found" or _NO_MODEL.search(self.words) is not None

    @property
    def too_long(self) -> bool:
        return self.code == "context_length_exceeded" or _TOO_LONG.search(self.words) is not None

    def metadata(self, status: int) -> dict[str, str]:
        return {"status": str(status), "host": self.host}


def classify(answer: Answer, endpoint: Endpoint) -> Refusal:
    """Judge an answer whose status is not 200."""
    said = _Said.read(answer.body, endpoint)
    if answer.status in _LATER or answer.status >= 500:
        return _later(answer, said)
    reason, message, more = _never(answer, said, endpoint)
    return Refusal(error=CandorError(reason, message, metadata=said.metadata(answer.status) | more))


def _later(answer: Answer, said: _Said) -> Refusal:
    """The endpoint may answer later: 429, 408, 5xx."""
    status = answer.status
    spent = said.code == "insufficient_quota"
    lasting: dict[str, str] = {}
    if status == 429:
        reason = Reason.RATE_LIMITED
        what = "says the quota is used up" if spent else "limits the rate"
        lasting = {"lasting": "true"} if spent else {}
    elif status in _TIMEOUTS:
        reason, what = Reason.ENDPOINT_TIMEOUT, f"gave up waiting for the model ({status})"
    else:
        reason, what = Reason.ENDPOINT_UNAVAILABLE, f"failed ({status})"
    return Refusal(
        error=CandorError(reason, f"{said.host} {what}{said.quoted}", metadata=said.metadata(status) | lasting),
        retry=not spent,
        overload=True,
        wait_seconds=asked_wait_seconds(answer.headers),
    )


def _never(answer: Answer, said: _Said, endpoint: Endpoint) -> tuple[Reason, str, dict[str, str]]:
    """The same request will be refused again."""
    status, where = answer.status, said.host
    if status in (401, 403):
        key = "refused the key" if endpoint.api_key else "wants a key: set api_key_env or credential"
        return Reason.ENDPOINT_UNAUTHENTICATED, f"{where} {key} ({status}){said.quoted}", {}
    if 300 <= status < 400:
        target = plain(urlsplit(answer.headers.get("location", "")).netloc, 100) or "elsewhere"
        message = f"{where} redirects to {target}; redirects are not followed: give the final URL in base_url"
        return Reason.ENDPOINT_REFUSED, message, {}
    named = refused_parameter(said.words, said.parameter) if said.code != "model_not_found" else ""
    if (said.names_no_model and not named) or (status == 404 and "model" in said.words.lower()):
        return Reason.MODEL_NOT_FOUND, f"{where} does not serve the model {endpoint.model!r}{said.quoted}", {}
    if status in (404, 405):
        message = f"{where} has no chat completions at {plain(endpoint.base_url, 200)} ({status}); check base_url"
        return Reason.ENDPOINT_REFUSED, message, {}
    if status == 413 or said.too_long:
        return Reason.CONTEXT_TOO_LONG, f"the prompt and max_tokens do not fit{said.quoted}", {}
    what, more = "refused the request", {"parameter": named} if named else {}
    if named and _of_the_value(named, said):
        what, more = f"does not take the value of {named}, change it in the document", {"refused_value": named}
    elif named == "max_tokens" and "max_completion_tokens" in said.words:
        more["instead"] = "max_completion_tokens"
    return Reason.ENDPOINT_REFUSED, f"{where} {what} ({status}){said.quoted}", more


def refused_parameter(words: str, parameter: str) -> str:
    """Which of our optional parameters (OMITTABLE) an error is about; empty if none."""
    name = parameter.rsplit(".", 1)[-1]
    if name in TOKEN_LIMIT_FIELDS:
        return "max_tokens"
    if name in OMITTABLE:
        return name
    if not _NOT_TAKEN.search(words):
        return ""
    found = [(match.start(), name) for name in OMITTABLE if (match := _word(name).search(words))]
    if match := _word("max_completion_tokens").search(words):
        found.append((match.start(), "max_tokens"))
    return min(found)[1] if found else ""


def _of_the_value(name: str, said: _Said) -> bool:
    """Whether an error is about the value of a parameter, which another value mends, and not about the parameter.

    Without a token limit a run would have no bound on its length and cost, so there the words must say `unsupported`.
    """
    if _UNSUPPORTED.search(f"{said.code} {said.words}"):
        return False
    return name == "max_tokens" or _OUT_OF_RANGE.search(said.words) is not None


def _word(name: str) -> re.Pattern[str]:
    """A parameter's name, and not a part of a model's (acme-seed-2)."""
    return re.compile(rf"(?<![\w-]){name}(?![\w-])")


def host(endpoint: Endpoint) -> str:
    """host:port of an endpoint, for messages."""
    return plain(urlsplit(endpoint.base_url).netloc.rpartition("@")[2], 200)


def _said(body: bytes) -> tuple[str, str, str]:
    """(message, code, parameter) of an error body in the shapes that servers use."""
    text = body[:20_000].decode("utf-8", "replace")
    try:
        value: Any = json.loads(text)
    except ValueError:
        return ("" if text.lstrip().startswith("<") else text), "", ""
    if isinstance(value, dict):
        inner = value.get("error", value)
        if isinstance(inner, str):
            return inner, "", ""
        if isinstance(inner, dict):
            message = inner.get("message") or inner.get("detail") or inner.get("error") or ""
            if isinstance(message, list):  # FastAPI: [{"loc": ["body", "seed"], "msg": ...}]
                return _details(message)
            return str(message), str(inner.get("code") or ""), str(inner.get("param") or "")
    return text, "", ""


def _details(items: list[Any]) -> tuple[str, str, str]:
    rows = [item for item in items if isinstance(item, dict)]
    words = "; ".join(f"{'.'.join(map(str, row.get('loc', ())))}: {row.get('msg', '')}" for row in rows)
    first = rows[0].get("loc", ()) if rows else ()
    return words, "", str(first[-1]) if first else ""
