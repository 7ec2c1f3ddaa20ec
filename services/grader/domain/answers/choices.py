"""Multiple choice: the option letter or option text that the reply settles on."""

from __future__ import annotations

import re

from services.grader.domain.answers import names
from services.grader.domain.answers.decision import Claim, Decision
from services.grader.domain.answers.forms import C, Key, W
from services.grader.domain.answers.reading import Reading
from services.grader.domain.answers.tokens import form

_MARKS = re.compile(r"[*_`#]+|\\boxed|\\text|\\\(|\\\)|[{}]")
# Runs of white space would make the patterns below slow.
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\n(?: ?\n)+")
_NEAR = 300  # characters before a letter in which a denial of it may stand
_LETTER = r"\(?\[?([A-Z])\b(?![a-z'’])"
_LABEL = r"(?:option\s+|choice\s+|letter\s+)?"
_STATED = re.compile(
    # The answer is B; Answer: (B); the correct option would be B.
    r"(?:answer|choice|option|letter|solution)"
    r"(?:\s+(?:is|was|would be|should be|must be|choice|option|letter|here|to this question|i choose|i pick))*"
    rf"\s*(?:is|:|=|-|—)?\s*{_LABEL}{_LETTER}"
    # It's B. I'd say B.
    r"|(?:it is|it's|i choose|i pick|i'd go with|i would go with|go with|i'd choose|i'd pick|i'd say|i would say|i say"
    r"|i select|that is|that's|that would be|it must be|it should be)"
    rf"\s+{_LABEL}{_LETTER}(?=[).:,;!]|\s*$|\s+[A-Z(])",
    re.IGNORECASE,
)
_OPENING = re.compile(r"^\s*\(?\[?([A-Z])(?:[).:\]]+|\s*[-—–]\s|\s*$|\s*\n|\.?\s*$)")
_LINE = re.compile(r"^\s*\(?\[?([A-Z])[).:\]]", re.MULTILINE)
# A sentence that is or begins with a letter: What fun! B) helium.
_SENTENCE = re.compile(r"[.!?…]\s+\(?([A-Z])(?:[).:\]](?=\s|$)|\s*$)")
# B is correct; option B is the best answer.
_ANSWERED = re.compile(
    r"\b([A-Z])\)?\s+(?:is|was)\s+(?:correct|right|the (?:correct|right|best) (?:answer|choice|option|one))\b"
)


def decide(reply: str, reading: Reading, key: Key, belief: str) -> Decision | None:
    """The option claimed; None where it is not sure."""
    letters = _letters(reply, key)
    if len(letters) > 1:
        return None
    by_text = names.decide(reading, key, belief) if key.forms[C] else None
    if not letters:
        return by_text
    letter = letters.pop()
    side = _side(letter, key)
    if side is None:
        return None
    said = by_text.claim if by_text is not None and by_text.rule != "ONLY_NAMED" else side
    if said not in (side, Claim.OTHER) and side is not Claim.OTHER:
        return None
    return Decision(side, "OPTION_LETTER", letter)


def _letters(reply: str, key: Key) -> set[str]:
    """Letters given as the answer: the last that is stated, else the one that opens the reply."""
    text = _LINES.sub("\n", _SPACES.sub(" ", _MARKS.sub("", reply)))
    valid = set(key.options) or set("ABCDEFGHIJ")
    stated = [
        letter.upper()
        for match in _STATED.finditer(text)
        for letter in match.groups()
        if letter and letter.isupper() and letter in valid and not _denied(text, match.start())
    ]
    stated += [match[1] for match in _ANSWERED.finditer(text) if match[1] in valid and not _denied(text, match.start())]
    if stated:
        return set(stated)
    opening = _OPENING.match(text)
    lines = {match[1] for match in _LINE.finditer(text)}
    if opening and opening[1] in valid and len(lines) <= 1:
        return {opening[1]}
    alone = {match[1] for match in _SENTENCE.finditer(text)} & valid
    return alone if len(alone) == 1 and not lines - alone else set()


def _denied(text: str, at: int) -> bool:
    """Whether the words before, in the same sentence, make the letter no claim."""
    before = re.split(r"[.!?\n]", text[max(0, at - _NEAR) : at])[-1].lower()
    return (
        bool(
            re.search(
                r"\b(?:not|n't|n’t|you said|you think|your|if|first thought|wrong|incorrect|people)\b|n't|n’t", before
            )
        )
        or "?" in text[at : at + 60].split("\n", maxsplit=1)[0].split(".", maxsplit=1)[0]
    )


def _side(letter: str, key: Key) -> Claim | None:
    text = key.options.get(letter, letter)
    words = form(text)
    if words in key.forms[C] or form(letter) in key.forms[C]:
        return Claim.TRUE
    if words in key.forms[W] or form(letter) in key.forms[W]:
        return Claim.FALSE
    return Claim.OTHER if key.options else None
