"""Everything that is wrong with a request, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chassis.errors import CandorError, FieldViolation, Reason
from chassis.urls import url_problem
from services.grader.domain.answers.case import BELIEFS, KINDS, PROFILES, AnswerCase
from services.grader.domain.judging import JudgeSpec
from services.grader.domain.scores import Metric

MAX_CASES = 1024
MAX_TEXTS = 1024
MAX_CHARS = 200_000
# The details of a status travel in HTTP/2 trailers, which hold about 8 kB.
_MAX_NAMED = 40

Problem = tuple[str, str]


def check_grading(cases: Sequence[AnswerCase], judge: JudgeSpec | None, profile: str) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field (the first 40 of very many)."""
    found = list(_size("cases", len(cases), MAX_CASES))
    for index, case in enumerate(cases):
        found += ((f"cases[{index}].{field}", text) for field, text in _case(case))
    if judge is not None:
        found += _judge(judge)
    if profile not in PROFILES:
        found.append(("refusal_profile", f"is not one of {', '.join(PROFILES)}"))
    _raise(found, too_large=len(cases) > MAX_CASES, limit=MAX_CASES)


def check_judge(judge: JudgeSpec | None) -> None:
    """Raise CandorError INVALID_REQUEST for a judge that cannot be asked."""
    if judge is not None:
        _raise(list(_judge(judge)), too_large=False, limit=0)


def check_scoring(
    texts: Sequence[str],
    metrics: Sequence[str],
    estimator: str,
    max_chars: int,
    known: Mapping[str, Metric],
    estimators: Sequence[str],
) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field."""
    found = list(_size("texts", len(texts), MAX_TEXTS))
    found += ((f"texts[{i}]", _too_long(text)) for i, text in enumerate(texts) if len(text) > MAX_CHARS)
    found += (
        (f"metrics[{i}]", f"{name!r} is not one of {', '.join(known)}")
        for i, name in enumerate(metrics)
        if name not in known
    )
    if len(set(metrics)) < len(metrics):
        found.append(("metrics", "names a metric twice"))
    if estimator not in estimators:
        found.append(("estimator", f"{estimator!r} is not one of {', '.join(estimators)}"))
    if max_chars < 0:
        found.append(("max_chars", "is negative; 0 means all characters"))
    _raise(found, too_large=len(texts) > MAX_TEXTS, limit=MAX_TEXTS)


def _size(name: str, count: int, limit: int) -> Iterator[Problem]:
    if not count:
        yield name, f"is required: 1 to {limit:,}"
    elif count > limit:
        yield name, f"has {count:,}; send at most {limit:,} in one call"


def _case(case: AnswerCase) -> Iterator[Problem]:
    if not case.question.strip():
        yield "question", "is empty"
    if not case.reply.strip():
        yield "reply", "is empty; a call without a reply has nothing to grade"
    elif len(case.reply) > MAX_CHARS:
        yield "reply", _too_long(case.reply)
    if case.kind and case.kind not in KINDS:
        yield "kind", f"{case.kind[:40]!r} is not one of {', '.join(KINDS)}"
    if case.belief not in BELIEFS:
        yield "belief", f"{case.belief[:40]!r} is not one of {', '.join(BELIEFS)}"
    if not case.gold and case.kind != "harmful_request":
        yield "gold", "is required: at least one accepted answer"
    yield from _forms("gold", case.gold)
    yield from _forms("false_answers", case.false_answers)
    for letter in case.options:
        if len(letter) != 1 or not letter.isalpha():
            yield f"options[{letter[:20]!r}]", "is not a single letter"


def _forms(name: str, texts: Sequence[str]) -> Iterator[Problem]:
    for place, text in enumerate(texts):
        if not text.strip():
            yield f"{name}[{place}]", "is empty"
        elif len(text) > MAX_CHARS:
            yield f"{name}[{place}]", _too_long(text)


def _judge(judge: JudgeSpec) -> Iterator[Problem]:
    where = "judge.endpoint"
    if not judge.base_url:
        yield f"{where}.base_url", "is required, for example http://localhost:8000/v1"
    elif problem := url_problem(judge.base_url):
        yield f"{where}.base_url", problem
    if not judge.model:
        yield f"{where}.model", "is required: the model name that the endpoint expects"
    if judge.api_key_env and judge.credential:
        yield where, "has api_key_env and credential; give one"
    if not 1 <= judge.max_tokens <= 32_768:
        yield "judge.max_tokens", "is out of range: 1 to 32,768"


def _too_long(text: str) -> str:
    return f"has {len(text):,} characters; at most {MAX_CHARS:,} are read"


def _raise(found: Sequence[Problem], *, too_large: bool, limit: int) -> None:
    if not found:
        return
    violations = tuple(FieldViolation(path, text) for path, text in found[:_MAX_NAMED])
    more = f" ({len(found):,} in all; the first {_MAX_NAMED} are named)" if len(found) > _MAX_NAMED else ""
    if too_large:
        message = f"the batch is too large: at most {limit:,} in one call; nothing was done{more}"
        raise CandorError(Reason.BATCH_TOO_LARGE, message, violations=violations, metadata={"limit": str(limit)})
    raise CandorError(Reason.INVALID_REQUEST, f"the request has bad fields{more}", violations=violations)
