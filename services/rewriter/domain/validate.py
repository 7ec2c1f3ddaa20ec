"""Everything that is wrong with a request, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from chassis.requests import MAX_CHARS, Problem, batch_size, refuse, too_long
from chassis.sampling import OMITTABLE, TOKEN_LIMIT_FIELDS
from chassis.urls import url_problem
from services.rewriter.domain import styles, toxicity
from services.rewriter.domain.corrections import KINDS, Item
from services.rewriter.domain.reading.forms import FORMATS
from services.rewriter.domain.values import (
    Conversation,
    EndpointSpec,
    Exchange,
    RulesSpec,
    Sampling,
    SourceSpec,
    Style,
    Turn,
)

MAX_ITEMS = 1024
MAX_CORRECTIONS = 4096
MAX_CHUNK_BYTES = 2**20
MAX_TURNS = 1_000
MAX_ATTEMPTS = 5
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_ROLES = ("system", "user", "assistant")


def check_file(form: str, max_turns: int) -> None:
    """Raise CandorError INVALID_REQUEST."""
    found: list[Problem] = []
    if form and form not in FORMATS:
        found.append(("info.format", f"{form[:40]!r} is not one of {', '.join(FORMATS)}"))
    if not 2 <= max_turns <= MAX_TURNS:
        found.append(("info.max_turns", f"is out of range: 2 to {MAX_TURNS:,}"))
    refuse(found)


def check_chunk(chunk: bytes) -> None:
    """Raise CandorError INVALID_REQUEST for a chunk above 1 MiB."""
    if len(chunk) > MAX_CHUNK_BYTES:
        refuse([("chunk", f"has {len(chunk):,} bytes; send at most {MAX_CHUNK_BYTES:,} at a time")])


def check_classifying(conversations: Sequence[Conversation], method: str, threshold: float) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field (the first 40 of very many)."""
    found = list(batch_size("conversations", len(conversations), MAX_ITEMS))
    for index, conversation in enumerate(conversations):
        found += _turns(f"conversations[{index}].messages", conversation.turns)
    if method not in toxicity.METHODS:
        found.append(("toxicity", f"{method[:40]!r} is not one of {', '.join(toxicity.METHODS)}"))
    if not 0.0 < threshold <= 1.0:
        found.append(("threshold", "is out of range: above 0 to 1"))
    refuse(found, count=len(conversations), limit=MAX_ITEMS)


def check_rewriting(
    style: Style | None,
    source: SourceSpec | None,
    exchanges: Sequence[Exchange],
    spend_cap: float | None,
    attempts: int,
) -> tuple[Style, SourceSpec]:
    """The style and the source. Raises CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field."""
    found = list(batch_size("exchanges", len(exchanges), MAX_ITEMS))
    for index, exchange in enumerate(exchanges):
        found += _exchange(f"exchanges[{index}]", exchange)
    if not 1 <= attempts <= MAX_ATTEMPTS:
        found.append(("attempts", f"is out of range: 1 to {MAX_ATTEMPTS}"))
    if spend_cap is not None:
        found += _cap(spend_cap, source)
    found += _style(style, source)
    found += _source(source)
    refuse(found, count=len(exchanges), limit=MAX_ITEMS)
    assert style is not None, "checked above"
    assert source is not None, "checked above"
    return style, source


def check_style_and_source(style: Style | None, source: SourceSpec | None) -> tuple[Style, SourceSpec]:
    """As `check_rewriting`, without exchanges."""
    refuse([*_style(style, source), *_source(source)])
    assert style is not None, "checked above"
    assert source is not None, "checked above"
    return style, source


def check_corrections(items: Sequence[Item]) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field."""
    found = list(batch_size("items", len(items), MAX_CORRECTIONS))
    for index, item in enumerate(items):
        where = f"items[{index}]"
        for name in ("question", "gold", "false_answer"):
            text = getattr(item, name)
            if not text.strip():
                found.append((f"{where}.{name}", "is empty"))
            elif len(text) > MAX_CHARS:
                found.append((f"{where}.{name}", too_long(text)))
        if item.kind not in KINDS:
            found.append((f"{where}.kind", f"{item.kind[:40]!r} is not one of {', '.join(KINDS)}"))
        if item.gold.strip() and item.gold.strip().casefold() == item.false_answer.strip().casefold():
            found.append((f"{where}.false_answer", "is the same as gold"))
    refuse(found, count=len(items), limit=MAX_CORRECTIONS)


def _turns(where: str, turns: Sequence[Turn]) -> Iterator[Problem]:
    if not turns:
        yield where, "is empty"
    for place, turn in enumerate(turns):
        if turn.role not in _ROLES:
            yield f"{where}[{place}].role", f"{turn.role[:40]!r} is not one of {', '.join(_ROLES)}"
        elif turn.role == "system" and place:
            yield f"{where}[{place}].role", "a system turn stands first or not at all"
        if len(turn.content) > MAX_CHARS:
            yield f"{where}[{place}].content", too_long(turn.content)


def _exchange(where: str, exchange: Exchange) -> Iterator[Problem]:
    yield from _turns(f"{where}.messages", exchange.turns)
    if exchange.turns and exchange.turns[-1].role != "user":
        yield f"{where}.messages", "does not end with a user turn: the reply stands in `reply`"
    if not exchange.reply.strip():
        yield f"{where}.reply", "is empty"
    elif len(exchange.reply) > MAX_CHARS:
        yield f"{where}.reply", too_long(exchange.reply)


def _cap(cap: float, source: SourceSpec | None) -> Iterator[Problem]:
    if not cap > 0.0:
        yield "spend_cap", "is not above 0"
    if isinstance(source, EndpointSpec) and None in (source.prompt_price, source.completion_price):
        yield "spend_cap", "needs prices: set source.endpoint.prompt_per_million and completion_per_million"


def _style(style: Style | None, source: SourceSpec | None) -> Iterator[Problem]:
    if style is None:
        yield "style", f"is required: builtin ({', '.join(styles.BUILTIN)}) or definition"
        return
    where = "style.definition"
    if not style.builtin and style.name in styles.BUILTIN:
        yield f"{where}.name", f"{style.name!r} is built in; choose another name"
    elif not _NAME.fullmatch(style.name):
        field = "style.builtin" if style.builtin else f"{where}.name"
        known = f"is not one of {', '.join(styles.BUILTIN)}"
        yield field, known if style.builtin else "must be 1 to 63 letters, digits, `_` or `-`"
    if style.direction not in styles.DIRECTIONS:
        yield f"{where}.direction", f"{style.direction[:40]!r} is not one of {', '.join(styles.DIRECTIONS)}"
    if isinstance(source, EndpointSpec) and not style.unchanged and not style.instruction.strip():
        yield f"{where}.instruction", "is required where a model rewrites: say how it is to speak"
    if isinstance(source, RulesSpec) and not style.unchanged and not _has_rules(style):
        yield where, "has nothing for the rules: set openings, closings or replacements"
    for name in ("openings", "closings"):
        yield from (
            (f"{where}.{name}[{i}]", "is empty") for i, text in enumerate(getattr(style, name)) if not text.strip()
        )
    if not all(word.strip() for word in style.replacements):
        yield f"{where}.replacements", "replaces an empty word"


def _has_rules(style: Style) -> bool:
    return bool(style.openings or style.closings or style.replacements or style.removals)


def _source(source: SourceSpec | None) -> Iterator[Problem]:
    if source is None:
        yield "source", "is required: rules or endpoint"
        return
    if isinstance(source, RulesSpec):
        return
    where = "source.endpoint"
    if not source.base_url:
        yield f"{where}.endpoint.base_url", "is required, for example http://localhost:8000/v1"
    elif problem := url_problem(source.base_url):
        yield f"{where}.endpoint.base_url", problem
    if not source.model:
        yield f"{where}.endpoint.model", "is required: the model name that the endpoint expects"
    if source.api_key_env and source.credential:
        yield f"{where}.endpoint", "has api_key_env and credential; give one"
    yield from ((f"{where}.sampling.{field}", text) for field, text in _sampling(source.sampling))
    for name, price in (("prompt", source.prompt_price), ("completion", source.completion_price)):
        if price is not None and not price >= 0.0:
            yield f"{where}.{name}_per_million", "is negative"


def _sampling(sampling: Sampling) -> Iterator[Problem]:
    if not 0.0 <= sampling.temperature <= 2.0:
        yield "temperature", "is out of range: 0 to 2"
    if not 1 <= sampling.max_tokens <= 32_768:
        yield "max_tokens", "is out of range: 1 to 32,768"
    if sampling.top_p is not None and not 0.0 < sampling.top_p <= 1.0:
        yield "top_p", "is out of range: above 0 to 1"
    if sampling.max_tokens_field not in TOKEN_LIMIT_FIELDS:
        yield "max_tokens_field", f"is not one of {', '.join(TOKEN_LIMIT_FIELDS)}"
    unknown = sorted(set(sampling.omit) - set(OMITTABLE))
    if unknown:
        yield "omit", f"{unknown[0][:40]!r} is not one of {', '.join(OMITTABLE)}"
