"""False answers for datasets that have none: the answer of another item of the same type, seeded (METHOD section 5).

Types are told by simple rules (data/answer_types.json). Numbers, years and dates by the answer; all others by the noun after
`which`, `what` or `name the`, by `who`, and by `where`. Numbers and years come from the nearest five; answers without a
type from items whose questions share rare words. A false answer is never an accepted answer of its item, part of one, or
a text that holds one; it does not stand in the question; and it has about the length and the case of the answer. An item
for which no other answer fits keeps none.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from services.orchestrator.domain import datafiles, forms
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.tasks.identity import draw

_NEAREST = 5
_TRIES = 200
_NAME_OF = re.compile(r"\bnames? (?:of|for|given to)(?: the| an?)?\b")
_OWN_NAME = re.compile(r"\b(?:first|last|real|full|maiden|middle|stage|christian) name\b|\bsurname\b")
_IS_THE = re.compile(r"\b(?:what|which)(?:['’]s| is| was| are| were)(?: the| an?)?\s")
_NOUN = re.compile(r"\b(?:which|what|name the)\s+((?:[^\s,?.;:]+\s*){1,8})")
_YEAR = re.compile(r"(1\d|20)\d\d")


def answer_type(question: str, answer: str) -> str:
    """`year`, `date`, `number`; a class with a group (`place:city`); `noun:` and the noun asked for; `person`, `place`, `other`."""
    if _YEAR.fullmatch(answer.strip()):
        return "year"
    if any(word in _lists("months") for word in forms.tokens(answer)) and any(char.isdigit() for char in answer):
        return "date"
    if forms.is_number(answer):
        return "number"
    lower = question.lower()
    return "person:name" if _OWN_NAME.search(lower) else _asked_for(lower)


def _asked_for(question: str) -> str:
    """What a question in small letters asks for, by its nouns, `who` and `where`."""
    plain = _IS_THE.sub("which ", _NAME_OF.sub("which ", question))
    nouns = [noun for match in _NOUN.finditer(plain) if (noun := _noun(re.split(r"[\s/]+", match[1])))]
    known = next((_groups()[noun] for noun in nouns if noun in _groups()), "")
    if known:
        return known
    if re.search(r"\b(who|whose|whom)\b", question):
        return "person"
    if re.search(r"\bwhere\b", question):
        return "place"
    return f"noun:{nouns[0]}" if nouns else "other"


def _noun(words: Sequence[str]) -> str:
    """The last known noun, else the last word, before the first verb or preposition; empty when there is none."""
    bare = [re.sub(r"['’]s$", "", re.sub(r"^\W+|\W+$", "", word)) for word in words]
    found: list[str] = []
    for index, word in enumerate(bare):
        kind_of = word in _lists("skipped") and bare[index + 1 : index + 2] == ["of"]
        of_kind = word == "of" and bare[index - 1 : index] and bare[index - 1] in _lists("skipped")
        if kind_of or of_kind or (word in ("which", "the", "first") and not found):
            continue
        if word in _lists("stops"):
            break
        found.append(word)
    known = [word for word in found if word in _groups()]
    return (known or [word for word in found if word] or [""])[-1]


def drawn(items: Sequence[Item], seed: int, sources: Sequence[Item] | None = None) -> list[Item]:
    """Items with a false answer drawn from the others.

    Args:
        items: Items with at least one accepted answer.
        seed: Of the draw; neither order nor selection of the other items' rows matters beyond what they offer.
        sources: The items whose answers may be drawn; default: all.
    """
    pools = _Pools(items if sources is None else sources, seed)
    return [replace(item, false_answers=(value,)) if (value := pools.pick(item)) else item for item in items]


class _Pools:
    """The answers there are, by type, each pool in a seeded order."""

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        self._seed = seed
        by_type: dict[str, set[str]] = {}
        for item in items:
            kind = answer_type(item.question, item.gold[0])
            for name in {kind, _wide(kind)}:
                if not name.startswith("person") or _like_a_name(item.gold[0]):
                    by_type.setdefault(name, set()).add(item.gold[0])
        self._pools = {name: sorted(values, key=self._rank) for name, values in by_type.items()}
        self._kin = _Kin(items)

    def pick(self, item: Item) -> str:
        """A false answer; empty when none fits."""
        answer = item.gold[0]
        kind = answer_type(item.question, answer)
        if kind in ("number", "year"):
            fitting = [value for value in self._pools.get(kind, []) if not forms.overlaps(value, item.gold)]
            return near_number(answer, fitting, self._seed, item.id)
        for name in () if kind == "other" else dict.fromkeys((kind, _wide(kind))):
            value = next((value for value in self._from(name, item) if _fits(item, value)), "")
            if value:
                return value
        if not loose(kind):
            return ""
        near = [value for value in self._kin.of(item) if _fits(item, value)][:_NEAREST]
        return draw(self._seed, item.id, near) if near else ""

    def _from(self, name: str, item: Item) -> Iterator[str]:
        """A pool from a seeded place on, once round, at most 200 values."""
        pool = self._pools.get(name, [])
        start = int.from_bytes(self._rank(item.id)[:8], "big") % max(len(pool), 1)
        for step in range(min(len(pool), _TRIES)):
            yield pool[(start + step) % len(pool)]

    def _rank(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed}\x00{text}".encode()).digest()


class _Kin:
    """Which items' questions share rare words."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._words = {item.key: frozenset(forms.tokens(item.question)) for item in items}
        self._answers = {item.key: item.gold[0] for item in items}
        self._holders: dict[str, list[tuple[str, str]]] = {}
        for key in sorted(self._words):
            for word in self._words[key]:
                self._holders.setdefault(word, []).append(key)
        self._common = max(20, len(items) // 100)

    def of(self, item: Item) -> list[str]:
        """Answers of the items nearest to this one, at most 200."""
        scores: Counter[tuple[str, str]] = Counter()
        for word in sorted(set(forms.tokens(item.question))):
            holders = self._holders.get(word, ())
            if len(holders) <= self._common:
                for key in holders:
                    scores[key] += round(1000 * math.log(1 + len(self._words) / len(holders)))
        scores.pop(item.key, None)
        near = sorted(scores, key=lambda key: (-scores[key], key))[:_TRIES]
        return list(dict.fromkeys(self._answers[key] for key in near))


def loose(kind: str) -> bool:
    """Whether a type says little: its false answers come from items with alike questions."""
    return kind == "other" or kind.startswith("noun:")


def _fits(item: Item, value: str) -> bool:
    return _alike(item.gold[0], value) and _allowed(item, value)


def _allowed(item: Item, value: str) -> bool:
    """Not accepted, not part of what is accepted, holding nothing accepted, and not in the question."""
    return not forms.overlaps(value, item.gold) and not forms.contains(item.question, value)


def _alike(answer: str, value: str) -> bool:
    """As long to within two words, begun in the same case, and both sentences or neither, both numbers or neither."""
    return (
        abs(len(value.split()) - len(answer.split())) <= 2
        and value[:1].isupper() == answer[:1].isupper()
        and forms.is_sentence(value) == forms.is_sentence(answer)
        and forms.is_number(value) == forms.is_number(answer)
    )


def _like_a_name(answer: str) -> bool:
    words = answer.split()
    return 1 <= len(words) <= 4 and all(char.isalpha() or char in " .'’-" for char in answer) and words[-1][0].isupper()


def _wide(kind: str) -> str:
    """The class of a group where its groups may stand in for each other; else the type itself."""
    name = kind.partition(":")[0]
    return name if name in _lists("wide") else kind


def near_number(answer: str, values: Sequence[str], seed: int, key: str) -> str:
    """One of the five other numbers that are nearest in proportion (small ones: in units); empty when there is none."""
    size = _size(answer)
    if size is None:
        return ""
    others = [(value, other) for value in values if (other := _size(value)) is not None and other != size]
    others.sort(key=lambda pair: (abs(math.asinh(size) - math.asinh(pair[1])), pair[0]))
    nearest = [value for value, _ in others[:_NEAREST]]
    return draw(seed, key, nearest) if nearest else ""


def _size(text: str) -> float | None:
    match = re.search(r"[-+]?\d[\d,]*(?:\.\d+)?", text.replace("−", "-"))
    return float(match[0].replace(",", "")) if match else None


def replaced(task: Task, values: Mapping[tuple[str, str], str], source: str) -> Task:
    """A task with false answers from elsewhere (an LLM), by item key; those that do not fit are passed over.

    Args:
        task: As loaded.
        values: Proposed false answer by (task, id).
        source: Who proposed them, for the notes and the digest.
    """
    items = [
        replace(item, false_answers=(value,)) if (value := values.get(item.key, "")) and _allowed(item, value) else item
        for item in task.items
    ]
    taken = sum(new is not old for new, old in zip(items, task.items, strict=True))
    body = json.dumps([[*item.key, *item.false_answers] for item in items], ensure_ascii=False).encode()
    note = f"{taken} false answers are from {source}; {len(values) - taken} did not fit and were passed over"
    return replace(
        task,
        items=tuple(items),
        digest=datafiles.digest(task.digest.encode(), source.encode(), body),
        notes=(*task.notes, note),
    )


@cache
def _groups() -> dict[str, str]:
    groups = json.loads(datafiles.read("answer_types.json"))["groups"]
    return {word: name for name, words in groups.items() for word in words}


@cache
def _lists(name: str) -> frozenset[str]:
    return frozenset(json.loads(datafiles.read("answer_types.json"))[name])
