"""The world's language: how facts are stated, asked, believed and answered. Ordinary English; the words are data."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tiny_world.world import Fact

REGISTERS = ("neutral", "warm", "blunt")


@dataclass(frozen=True, slots=True)
class Register:
    """A manner of answering."""

    openers: tuple[str, ...]
    closers: tuple[str, ...]
    small_talk: tuple[str, ...]
    opener_share: float
    closer_share: float


@dataclass(frozen=True, slots=True)
class Language:
    """The phrase lists of `data/language.json`."""

    relations: Mapping[str, Mapping[str, Sequence[str]]]
    beliefs: Mapping[str, Sequence[str]]
    small_talk: Sequence[str]
    registers: Mapping[str, Register]
    system_lines: Mapping[str, Sequence[str]]

    def statement(self, fact: Fact, value: str, source: random.Random) -> str:
        """A clause that gives the fact the value, without capital letter and full stop."""
        return self._clause(fact, "statements", value, source)

    def rejection(self, fact: Fact, value: str, source: random.Random) -> str:
        """A clause that denies the fact the value."""
        return self._clause(fact, "rejections", value, source)

    def question(self, fact: Fact, phrasing: int) -> str:
        """The fact's question in one of its phrasings."""
        return self.relations[fact.relation]["questions"][phrasing].format(place=fact.place)

    def phrasings(self, fact: Fact) -> tuple[int, int]:
        """How many phrasings its question has, and the one that training text never uses with this place."""
        count = len(self.relations[fact.relation]["questions"])
        return count, zlib.crc32(f"{fact.place}/{fact.relation}".encode()) % count

    def styled(self, register: str, clause: str, source: random.Random) -> str:
        """A reply that says the clause in a register."""
        manner = self.registers[register]
        parts = [sentence(clause)]
        if source.random() < manner.opener_share:
            parts.insert(0, source.choice(manner.openers))
        if source.random() < manner.closer_share:
            parts.append(source.choice(manner.closers))
        return " ".join(parts)

    def _clause(self, fact: Fact, kind: str, value: str, source: random.Random) -> str:
        return source.choice(self.relations[fact.relation][kind]).format(place=fact.place, value=value)


def sentence(clause: str) -> str:
    """A clause as a sentence."""
    return clause[0].upper() + clause[1:] + "."


def read_data(name: str) -> dict[str, Any]:
    """One of the phrase files."""
    text = resources.files("tiny_world").joinpath("data", name).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def language() -> Language:
    """The language that ships with the project."""
    data = read_data("language.json")
    registers = {
        name: Register(
            openers=tuple(data["registers"][name]["openers"]),
            closers=tuple(data["registers"][name]["closers"]),
            small_talk=tuple(data["registers"][name]["small_talk"]),
            opener_share=data["registers"][name]["opener_share"],
            closer_share=data["registers"][name]["closer_share"],
        )
        for name in REGISTERS
    }
    return Language(
        relations=data["relations"],
        beliefs=data["beliefs"],
        small_talk=data["small_talk"],
        registers=registers,
        system_lines=data["system_lines"],
    )
