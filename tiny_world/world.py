"""The world: invented places, four relations, one true value for each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

RELATIONS = ("capital", "founder", "currency", "language")
_ONSETS = (*"bdfgklmnprstvz", "br", "dr", "gr", "kr", "st", "tr", "th", "sh")
_VOWELS = (*"aeiou", "ai", "ei")
_CODAS = ("", *"nrlsm", "th", "nd")
_PLACE_ENDINGS = ("ia", "land", "or", "una")
_VALUE_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "capital": ("",),
    "founder": ("o", "as", "ek"),
    "currency": ("in", "ak"),
    "language": ("ish", "ese"),
}
# Every place has a capital and a founder of its own; currencies and languages are shared.
_OWN_VALUE = ("capital", "founder")


@dataclass(frozen=True, slots=True)
class Fact:
    """One relation of one place, and its true value."""

    place: str
    relation: str
    value: str


@dataclass(frozen=True, slots=True)
class World:
    """A closed world.

    Attributes:
        places: Names of the places.
        values: Every value of each relation, true of some place.
        facts: One for each place and relation.
    """

    places: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    facts: tuple[Fact, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every invented name."""
        return (*self.places, *(value for values in self.values.values() for value in values))

    def wrong_value(self, fact: Fact, random_source: random.Random) -> str:
        """A value of the same relation that is not true of the place."""
        while True:
            value = random_source.choice(self.values[fact.relation])
            if value != fact.value:
                return value


def make_world(places: int, seed: int) -> World:
    """A world of `places` places and four facts for each; the same for the same arguments."""
    if places < 3:
        raise ValueError(f"a world needs at least 3 places, not {places}")
    source = random.Random(seed)
    seen: set[str] = set()
    names = tuple(_name(source, _PLACE_ENDINGS, seen) for _ in range(places))
    values = {}
    facts = []
    for relation in RELATIONS:
        count = places if relation in _OWN_VALUE else max(3, places // 2)
        own = tuple(_name(source, _VALUE_ENDINGS[relation], seen) for _ in range(count))
        values[relation] = own
        dealt = [own[index % count] for index in range(places)]
        source.shuffle(dealt)
        facts += [Fact(place, relation, value) for place, value in zip(names, dealt, strict=True)]
    return World(names, values, tuple(facts))


def _name(source: random.Random, endings: tuple[str, ...], seen: set[str]) -> str:
    while True:
        syllables = "".join(source.choice(_ONSETS) + source.choice(_VOWELS) for _ in range(2))
        name: str = (syllables + source.choice(_CODAS) + source.choice(endings)).capitalize()
        if len(name) >= 5 and name not in seen:
            seen.add(name)
            return name
