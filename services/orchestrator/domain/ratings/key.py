"""The key of a set of ratings: what stands behind every id. It stays with whoever analyses and never goes to raters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, TypeVar

KIND = "candor ratings key"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PairKey:
    """What a pair is. `treated_first`: the treated arm's reply is A."""

    id: str
    treated_first: bool
    task: str
    item: str
    context: str
    belief: str
    repeat: int
    sociot_treated: float | None
    sociot_reference: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKey:
    """What a reply to be labelled is, in full: a spreadsheet may have changed the raters' copy."""

    id: str
    arm: str
    task: str
    item: str
    context: str
    belief: str
    repeat: int
    question: str
    gold: str
    false_answer: str
    reply: str
    verdict: str
    decided_by: str
    aliases: tuple[str, ...] = ()
    false_aliases: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The whole key.

    Attributes:
        source: Evaluation or file that the replies are from.
        treated: Treated arm.
        reference: Arm compared against.
        seed: Of the draw.
        pairs: In the order of the file.
        answers: In the order of the file.
    """

    source: str
    treated: str
    reference: str
    seed: int
    pairs: tuple[PairKey, ...]
    answers: tuple[AnswerKey, ...]

    def to_json(self) -> str:
        """The content of the key file."""
        return json.dumps({"kind": KIND, "schema": SCHEMA, **asdict(self)}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Key:
        """The key whose `to_json` this is.

        Raises:
            ValueError: It is no key, or of another version.
        """
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ValueError(f"it is not JSON ({error})") from error
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise ValueError("it is no key; the key is the .key.json file that `candor ratings export` wrote")
        if value.get("schema") != SCHEMA:
            raise ValueError(f"it is of version {value.get('schema')}, and this program reads {SCHEMA}")
        try:
            return cls(
                source=value["source"],
                treated=value["treated"],
                reference=value["reference"],
                seed=value["seed"],
                pairs=_entries(PairKey, value["pairs"]),
                answers=_entries(AnswerKey, value["answers"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is damaged ({error})") from error


Entry = TypeVar("Entry", PairKey, AnswerKey)


def _entries(kind: type[Entry], values: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Entries from JSON; a key from before there was a field with a default lacks it."""

    def cell(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    return tuple(
        kind(**{f.name: cell(value[f.name]) for f in fields(kind) if f.default is MISSING or f.name in value})
        for value in values
    )


def stamp(source: str, treated: str, reference: str, seed: int) -> str:
    """A few letters that the ids of one export share, so that another export's file is not read with this key."""
    text = json.dumps([source, treated, reference, seed], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:5]


def entry_id(letter: str, mark: str, *reply: object) -> str:
    """Id of a pair (p) or an answer (a): the same in every export with this mark, however many are drawn."""
    text = json.dumps([mark, letter, *reply], ensure_ascii=False)
    return f"{letter}-{mark}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
