"""MedQA vignettes made conversational by rule: the patient becomes a relative of the user, by sex and age.

Pure text rules, with their word lists in data/medqa_wording.json. A text in which no patient is found (a study, a
laboratory experiment) keeps its wording.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from services.orchestrator.domain import datafiles

_AGE_UNITS = {"year": 1.0, "month": 1 / 12, "week": 1 / 52, "day": 1 / 365, "hour": 0.0}
_FAMILY = re.compile(r"\b(mother|father|parents?|brothers?|sisters?|siblings?|twin)\b", re.IGNORECASE)
_HE = re.compile(r"\b(he|him|his|himself)\b", re.IGNORECASE)
_SHE = re.compile(r"\b(she|her|hers|herself)\b", re.IGNORECASE)
_GIVEN_BIRTH = re.compile(r"\b(born|delivered|birth)\b[^.]*\b(to|by)\s+$", re.IGNORECASE)
_ARTICLE = r"\b(?P<article>an?)\s+"
_BEFORE = r"(?P<before>(?:(?!an?\b|the\b)[\w-]+\s+){0,4}?)"
_ODD_AGE = re.compile(
    r"\b(\d+)\s*-?\s*(year|month|week|day|hour)s?\s*-\s*(?:old\s*-?\s*)?(?=(?:man|woman|boy|girl|male|female|old|newborn)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Patient:
    """Who a vignette is about, and where it says so.

    Attributes:
        relation: `brother`, `aunt`, ...
        sex: `male`, `female`, or empty where the text does not say.
        adult: 13 years and older.
        start: Where the first mention starts in the text.
        end: Where it ends.
        mention: What takes its place.
    """

    relation: str
    sex: str
    adult: bool
    start: int
    end: int
    mention: str


def conversational(text: str) -> tuple[str, str]:
    """The vignette about a relative, and the relation; the relation is empty where no patient was found."""
    text = _ODD_AGE.sub(lambda match: f"{match[1]}-{match[2].lower()}-old ", text)
    text = text.replace("-old old", "-old")
    patient = find_patient(text)
    if patient is None:
        return text, ""
    head, tail = text[: patient.start] + patient.mention, text[patient.end :]
    text = head + _first_verb(tail)
    text = _named(text, patient)
    return _doctors(text), patient.relation


def find_patient(text: str) -> Patient | None:
    """The first person with an age, or the first newborn, who is not somebody's mother at birth."""
    ages = "|".join(_words()["age_words"])
    pattern = re.compile(
        rf"{_ARTICLE}{_BEFORE}(?P<age>(?P<count>\d+|{ages})[- ]+(?P<unit>year|month|week|day|hour)s?[- ]+old)\b",
        re.IGNORECASE,
    )
    newborn = re.compile(
        rf"{_ARTICLE}(?P<before>(?:(?!an?\s)\S+(?<![.?!])\s+){{0,5}}?)(?P<sex>male|female)\s+(?P<noun>newborn|neonate|infant)\b",
        re.IGNORECASE,
    )
    found = [
        match
        for match in [*pattern.finditer(text), *newborn.finditer(text)]
        if not _GIVEN_BIRTH.search(text[: match.start()])
    ]
    if not found:
        return None
    match = min(found, key=lambda found: found.start())
    return _aged(text, match) if "age" in match.re.groupindex else _newborn(text, match)


def _newborn(text: str, match: re.Match[str]) -> Patient:
    sex = match["sex"].lower()
    relation = relative(sex, 0.0, text)
    mention = f"{_my(match['article'])} {match['before']}newborn {relation}"
    return Patient(relation, sex, False, match.start(), match.end(), mention)


def _aged(text: str, match: re.Match[str]) -> Patient:
    words, end = _noun_phrase(text, match.end())
    lower = [word.lower() for word in words]
    sex = _sex(lower, match["before"].lower().split(), text)
    years = _years(match["count"]) * _AGE_UNITS[match["unit"].lower()]
    relation = relative(sex, years, text)
    heads = {*_words()["male"], *_words()["female"], *_words()["neutral"]}
    kept = [word for word in words if word.lower() not in heads]
    age = f"{match['before']}{match['age'].replace(' ', '-')}"
    if kept and kept[-1].lower() in _words()["occupations_end"]:
        article = "an" if kept[0][0].lower() in "aeiou" else "a"
        told = re.match(r"\s+(?:from|with|in|at|on|of|who)\b", text[end:])
        mention = f"{_my(match['article'])} {age} {relation}, {article} {' '.join(kept)}{'' if told else ','}"
        end += text[end : end + 1] == ","
    else:
        mention = f"{_my(match['article'])} {' '.join([age, *kept])} {relation}"
    return Patient(relation, sex, years >= 13, match.start(), end, mention)


def _noun_phrase(text: str, start: int) -> tuple[list[str], int]:
    """The words after the age up to the first verb, preposition or mark, at most six; and where they end."""
    words: list[str] = []
    end = start
    heads = {*_words()["male"], *_words()["female"], *_words()["neutral"]}
    for match in re.finditer(r"\s+([^\s,.;:()]+)(?=([\s,.;:()]|$))", text[start:]):
        word = match[1]
        gap = text[end : start + match.start()]
        named = any(word.lower() in heads for word in words)
        adjectives = word.lower() == "and" and not named and bool(words)
        stop = word.lower() in _words()["boundaries"] and not adjectives
        if gap or stop or len(words) == 6 or (named and word.lower().endswith("ed")):
            break
        words.append(word)
        end = start + match.end()
    return words, end


def _sex(words: list[str], before: list[str], text: str) -> str:
    for sex in ("female", "male"):
        if any(word in _words()[sex] for word in (*words, *before)):
            return sex
    if re.search(r"\b(gravida|pregnan|G\dP\d|para \d)", text):
        return "female"
    his, her = len(_HE.findall(text)), len(_SHE.findall(text))
    if re.search(r"\b(his|her) (?:mother|father|parents)\b", text):
        owner = re.search(r"\b(his|her) (?:mother|father|parents)\b", text)
        return "male" if owner and owner[1] == "his" else "female"
    return "" if his == her else "male" if his > her else "female"


def relative(sex: str, years: float, text: str) -> str:
    """A relation by sex and age; a cousin where the sex is unknown, or where a grown patient's own parents come up."""
    if not sex:
        return "cousin"
    row = next(row for row in _words()["relatives"] if years < row["below_years"])
    with_family: str = row.get(f"{sex}_with_family", row[sex])
    plain: str = row[sex]
    return with_family if _FAMILY.search(text) else plain


def _named(text: str, patient: Patient) -> str:
    """The text with every `the patient` and the like as the relative."""
    nouns = ["patient"]
    if patient.sex:
        nouns += [
            word for word in _words()[patient.sex] if word in ("man", "woman", "boy", "girl", "gentleman", "lady")
        ]
    if not patient.adult:
        nouns += ["child", "infant", "newborn", "baby", "neonate", "toddler"]
    either = "|".join(nouns)

    def said(match: re.Match[str]) -> str:
        owned = f"'s{match['of']}" if match.groupdict().get("of") else ""
        return f"{'My' if match[1][0].isupper() else 'my'} {patient.relation}{owned}"

    text = re.sub(
        rf"\b(the|this|our|your)\s+(?:(?:fe)?male\s+|young\s+)?(?:{either})(?![\w-])(?!\s+(?:population|group|room))(?P<of>\s+(?:condition|presentation|management|symptoms)\b)?",
        said,
        text,
        flags=re.IGNORECASE,
    )
    return re.sub(r"(?<![\w-])(Patient)(?=\s+(?:is|was|has|had|denies|reports|states|does|also)\b)", said, text)


def _first_verb(tail: str) -> str:
    """The rest of the text with `presents with` and the like said as people say it, in the first sentence."""
    stop = re.search(r"[.?!](\s|$)", tail)
    first, rest = (tail[: stop.start()], tail[stop.start() :]) if stop else (tail, "")
    for clinical, plain in _words()["phrases"]:
        changed = re.sub(rf"\b{clinical}\b", plain, first, count=1)
        if changed != first:
            return changed + rest
    return tail


def _doctors(text: str) -> str:
    """The text with the reader's part in it given to a doctor; the closing question keeps its `you`."""
    verbs = "|".join(_words()["doctor_verbs"])

    def doctor(match: re.Match[str]) -> str:
        verb = match[2]
        ending = "es" if verb.endswith(("s", "sh", "ch", "x", "ss")) else "s"
        name = "The doctor" if match[1][0].isupper() else "the doctor"
        return f"{name} {verb}{ending}"

    changes: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (rf"(?<!do )(?<!would )(?<!should )\b([Yy]ou) ({verbs})\b(?!\?)", doctor),
        (r"\b(?<!do )you have\b", "the doctor has"),
        (r"\b(tells|asks|approaches|informs|told|asked|calls) you\b", r"\1 the doctor"),
        (r"\byour (office|clinic|practice|department|hospital|ward|service|care|diagnosis|attention)\b", r"the \1"),
    ]
    for pattern, plain in changes:
        text = re.sub(pattern, plain, text)
    return text


def _my(article: str) -> str:
    return "My" if article[0].isupper() else "my"


def _years(count: str) -> float:
    return float(count) if count.isdecimal() else float(_words()["age_words"].index(count.lower()) + 1)


@cache
def _words() -> dict[str, Any]:
    words: dict[str, Any] = json.loads(datafiles.read("medqa_wording.json"))
    return words
