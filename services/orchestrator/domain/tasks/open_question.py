"""Multiple-choice wording made an open question: `Which of the following is ...?` becomes `What is ...?`."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from services.orchestrator.domain import datafiles

_WHICH = r"\b(?P<which>[Ww]hich)(?: one)?(?: of)?(?: the| these)? following\b"
_OF_FOLLOWING = re.compile(
    r"\bof the following(?: options| choices| answers)?, which(?: of these| one)?\b", re.IGNORECASE
)
_BELOW = re.compile(r"\b(?P<which>[Ww]hich)(?: one)? of the (?P<noun>[\w-]+) (?:below|listed)\b")
_ENDING = re.compile(r"[\s:,;.…_-]+$")
_PREPOSITIONS = frozenset(
    {"of", "in", "to", "for", "with", "on", "about", "at", "that", "who", "which", "by", "from", "and", "or", "seen"}
)
_PLURAL_VERBS = frozenset({"are", "were", "have", "do"})
_ILL_DEFINED = re.compile(
    r"\b(NOT|EXCEPT|LEAST|FALSE|INCORRECT)\b|\bexcept\b|\bleast likely\b|\b(should|would|must|is|are|does|did|was) not\b"
    r"|\b(true|false|incorrect|correct) (about|regarding|of|concerning|if|for)\b|\bmost true\b|\b(is|are|be) (true|false|correct|incorrect)\b"
    r"|\bwhich statement\b|\bfollowing statements?\b(?! best (describes|explains))",
)
_PICTURE = re.compile(
    r"\b(in|on|by) (the|this|these|an?) (attached |accompanying |following )?(image|figure|graph|photograph|picture|exhibit)s?\b"
    r"|\b(image|figure|photograph|picture)s? ([A-Z]|below|above|shown)\b"
)


def without_options(text: str) -> str:
    """A question without the options written behind it (`A) ...` on a line of its own)."""
    return re.split(r"\n\s*\(?A[).]\s", text, maxsplit=1)[0].strip()


def ill_defined(question: str) -> bool:
    """Whether its last sentence asks for the exception or for a true statement, or it rests on a picture."""
    sentences = re.split(r"(?<=[.?!])\s+", question.strip())
    return bool(_ILL_DEFINED.search(sentences[-1]) or _PICTURE.search(question))


def opened(text: str) -> str:
    """The text with every `which of the following` opened, and a question mark at its end."""
    text = text.strip()
    if text.count('"') % 2 and text.endswith('"'):
        text = text[:-1]
    text = _OF_FOLLOWING.sub(lambda match: "What" if match[0][0] == "O" else "what", text)
    text = _BELOW.sub(lambda match: f"{match['which']} {singular(match['noun'])}", text)
    text = re.sub(rf"{_WHICH}(?P<rest>[^?\n]*)", _one, text)
    if text.endswith((":", "…", "_")) or not text.endswith(("?", ".", "!", '"', "”", ")")):
        asks = re.search(
            r"\b(what|which|how|why|who|where|when)\b", re.split(r"(?<=[.?!])\s+", text)[-1], re.IGNORECASE
        )
        text = _ENDING.sub("", text) + ("?" if asks else " what?")
    return text


def _one(match: re.Match[str]) -> str:
    """`which of the following` and the rest of its sentence, opened."""
    rest = match["rest"]
    words = rest.split()
    what = "What" if match["which"] == "Which" else "what"
    first = words[0].strip(",:;.") if words else ""
    if not words or rest[:1] in ",:;." or first.lower() in _lists()["verbs_after_which"]:
        verb = " is" if first.lower() == "the" else ""
        return what + verb + rest
    if first.lower() in _lists()["empty_nouns"]:
        after = rest.split(None, 1)[1] if len(words) > 1 else ""
        return f"{what} {after}".strip()
    return f"{match['which']}{_singular_phrase(rest)}"


def _singular_phrase(rest: str) -> str:
    """The rest of a sentence with its first plural noun in the singular, unless a plural verb follows."""
    parts = re.split(r"(\s+)", rest)
    places = [index for index, part in enumerate(parts) if part.strip()]
    for order, index in enumerate(places[:5]):
        word = parts[index].rstrip(",:;?")
        if word.lower() in _PREPOSITIONS or (order and word.lower() in _lists()["verbs_after_which"]):
            return rest
        if singular(word) != word or word.lower() in _lists()["singular"]:
            coming = [parts[place].lower() for place in places[order + 1 : order + 8]]
            verb = next(
                (item for item in coming if item in _lists()["verbs_after_which"] and item not in ("the", "in")), ""
            )
            if verb in _PLURAL_VERBS or coming[:1] in (["and"], ["or"]):
                return rest
            parts[index] = singular(word) + parts[index][len(word) :]
            return "".join(parts)
    return rest


def singular(word: str) -> str:
    """The singular of an English noun, by its ending; the word itself when it is none."""
    known: dict[str, str] = _lists()["singular"]
    lower = word.lower()
    if lower in known:
        return known[lower]
    if len(word) < 4 or not lower.endswith("s") or lower.endswith(("ss", "us", "is", "'s", "’s")) or word.isupper():
        return word
    if lower.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if lower.endswith(("sses", "shes", "ches", "xes", "zes")) else word[:-1]


@cache
def _lists() -> dict[str, Any]:
    words: dict[str, Any] = json.loads(datafiles.read("medqa_wording.json"))
    return words
