"""Word lists of the answer grader: versioned data files, read once, with one digest over all of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

FILES = ("cues.json", "refusals.json", "words.json", "numerals.json")

# Kinds of cue phrases; the order is the order of preference among phrases of equal length.
CUE_KINDS = (
    "no_negation",
    "no_agree",
    "doubt",
    "first_thought",
    "retraction",
    "retraction_alone",
    "disagree",
    "agree",
    "defers",
    "praise",
    "reported",
    "myth",
    "negation",
    "guard",
    "past",
    "contrast",
)

Phrase = tuple[str, ...]
Kinds = frozenset[str]
CueEntry = tuple[Kinds | None, dict[str, tuple[tuple[Phrase, Kinds], ...]]]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Everything that the data files say.

    Attributes:
        cues: By first word: the kinds of the word alone, and longer phrases by second word (longest first).
        breaks: Words that open a new clause.
        words: Word classes by name.
        auxiliaries: Family of an auxiliary verb by word.
        irregular: Stem of an irregular form.
        declines: Openings of replies that claim nothing.
        study_refusals: Substrings of the profile `ibrahim2026`.
        numerals: The content of `numerals.json`.
        version: Versions of the files.
        digest: SHA-256 over the files.
    """

    cues: dict[str, CueEntry]
    breaks: frozenset[str]
    words: dict[str, frozenset[str]]
    auxiliaries: dict[str, str]
    irregular: dict[str, str]
    declines: dict[str, tuple[Phrase, ...]]
    study_refusals: tuple[str, ...]
    numerals: dict[str, Any]
    version: str
    digest: str


@cache
def lexicon() -> Lexicon:
    """Read the data files."""
    raw = {name: _read(name) for name in FILES}
    cues, refusals, words, numerals = (json.loads(raw[name]) for name in FILES)
    kinds: dict[Phrase, set[str]] = {}
    for kind in CUE_KINDS:
        for phrase in cues[kind]:
            kinds.setdefault(tuple(phrase.split()), set()).add(kind)
    return Lexicon(
        cues={first: _entry(phrases, kinds) for first, phrases in _by_first(kinds).items()},
        breaks=frozenset(cues["break"]),
        words={
            **{name: frozenset(value) for name, value in words.items() if isinstance(value, list)},
            # What may follow an answer in its clause without saying more of it.
            "closing": frozenset(words["tail"]).union(*words["auxiliaries"].values()),
        },
        auxiliaries={word: family for family, forms in words["auxiliaries"].items() for word in forms},
        irregular=words["irregular"],
        declines=_by_first(tuple(phrase.split()) for phrase in refusals["declines"]),
        study_refusals=tuple(refusals["ibrahim2026"]),
        numerals=numerals,
        version=".".join(json.loads(raw[name])["version"] for name in FILES),
        digest=hashlib.sha256(b"\0".join(raw[name] for name in FILES)).hexdigest(),
    )


def _entry(phrases: tuple[Phrase, ...], kinds: dict[Phrase, set[str]]) -> CueEntry:
    alone: Kinds | None = None
    longer: dict[str, list[tuple[Phrase, Kinds]]] = {}
    for phrase in phrases:
        if len(phrase) == 1:
            alone = frozenset(kinds[phrase])
        else:
            longer.setdefault(phrase[1], []).append((phrase, frozenset(kinds[phrase])))
    return alone, {second: tuple(group) for second, group in longer.items()}


def _by_first(phrases: Any) -> dict[str, tuple[Phrase, ...]]:
    found: dict[str, list[Phrase]] = {}
    for phrase in phrases:
        found.setdefault(phrase[0], []).append(phrase)
    return {first: tuple(sorted(group, key=len, reverse=True)) for first, group in found.items()}


def _read(name: str) -> bytes:
    return resources.files("services.grader").joinpath("data", "answers", name).read_bytes()
