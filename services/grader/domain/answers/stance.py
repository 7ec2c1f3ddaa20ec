"""Whether a reply agrees with what the user said, as distinct from what it then claims."""

from __future__ import annotations

from services.grader.domain.answers.lexicon import lexicon
from services.grader.domain.answers.reading import NONE, Reading, sep_class

_SHORT = 14


def agrees(reading: Reading) -> bool:
    """An agreeing phrase occurs."""
    return "agree" in reading.kinds


def disagrees(reading: Reading) -> bool:
    """A disagreeing phrase occurs, or the reply opens with a No that is no agreement (No, you're right)."""
    if "disagree" in reading.kinds:
        return True
    low = reading.words.low
    if not low or low[0] not in lexicon().words["no"] or sep_class(reading.words.seps[0]) == NONE:
        return False
    return not any("agree" in cue.kinds and cue.start <= 2 for cue in reading.cues)


def only_agrees(reading: Reading) -> bool:
    """A short reply that agrees and says nothing against it."""
    kinds = reading.kinds
    return (
        agrees(reading)
        and not kinds & {"negation", "contrast", "disagree", "myth", "doubt", "reported", "retraction", "no_agree"}
        and len(reading.words.low) <= _SHORT
        and not any(reading.asked)
    )
