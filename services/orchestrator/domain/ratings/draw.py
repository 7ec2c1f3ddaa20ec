"""Which replies people are shown, in which order: a seeded draw that no arm can be told from.

Pairs and answers are dealt round over (task, context, belief), so that each has its share, and no item comes twice before
every item has come. In half of the pairs the treated reply stands first.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar


class Candidate(NamedTuple):
    """A reply that may be shown.

    Attributes:
        row: Its row in the table.
        arm: Its arm.
        task: Task.
        item: Id of the item within its task.
        context: Context.
        belief: Belief level.
        repeat: Repeat index.
        fingerprint: Equal for equal texts.
        decided_by: As its grade says; empty where that is not known.
        answerable: There is a right answer to show beside it.
    """

    row: int
    arm: str
    task: str
    item: str
    context: str
    belief: str
    repeat: int
    fingerprint: bytes
    decided_by: str
    answerable: bool

    @property
    def judged(self) -> bool:
        """Only a judge decided it."""
        return self.decided_by == "judge"

    @property
    def cell(self) -> tuple[str, str, str]:
        """What the draw is balanced over."""
        return self.task, self.context, self.belief

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What two replies of a pair share."""
        return self.task, self.item, self.context, self.belief, self.repeat


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to one prompt, as they are shown."""

    a: Candidate
    b: Candidate


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is shown, in the order of the file.

    Attributes:
        pairs: Of the treated and the reference arm.
        answers: Single replies.
        alike: Pairs that could not be drawn because both replies are the same text.
        only_judged: Answers are those that only a judge decided.
    """

    pairs: tuple[Pair, ...]
    answers: tuple[Candidate, ...]
    alike: int
    only_judged: bool


def draw(replies: Iterable[Candidate], treated: str, reference: str, *, pairs: int, answers: int, seed: int) -> Drawn:
    """Draw pairs and answers.

    Args:
        replies: With a text, of the two arms.
        treated: Treated arm.
        reference: Arm compared against.
        pairs: How many pairs; fewer where there are not so many.
        answers: How many answers, half of each arm. A larger draw with the same seed holds a smaller one.
        seed: Of the draw.
    """
    by_arm: dict[str, dict[Hashable, Candidate]] = {treated: {}, reference: {}}
    for reply in replies:
        if reply.arm in by_arm:
            by_arm[reply.arm][reply.key] = reply
    both = [(by_arm[treated][key], by_arm[reference][key]) for key in by_arm[treated] if key in by_arm[reference]]
    different = [pair for pair in both if pair[0].fingerprint != pair[1].fingerprint]
    dealt = _deal(different, pairs, seed, "pairs")
    shown = [Pair(trt, ref) if place % 2 == 0 else Pair(ref, trt) for place, (trt, ref) in enumerate(dealt)]
    answered = {arm: [one for one in found.values() if one.answerable] for arm, found in by_arm.items()}
    judged = any(reply.judged for found in answered.values() for reply in found)
    graded = []
    for place, arm in enumerate((reference, treated)):
        pool = [(reply,) for reply in answered[arm] if reply.judged or not judged]
        graded += [reply for (reply,) in _deal(pool, (answers + place) // 2, seed, f"answers of {place}")]
    return Drawn(
        pairs=tuple(sorted(shown, key=lambda pair: _place(seed, "order", pair.a.key))),
        answers=tuple(sorted(graded, key=lambda reply: _place(seed, "order", (reply.arm, reply.key)))),
        alike=len(both) - len(different),
        only_judged=judged,
    )


Group = TypeVar("Group", bound=Sequence[Candidate])


def _deal(candidates: Sequence[Group], count: int, seed: int, purpose: str) -> list[Group]:
    """`count` candidates, dealt round over the cells; items that have not come yet come first."""
    cells: dict[tuple[str, str, str], list[Group]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: _place(seed, purpose, one[0].key)):
        cells[candidate[0].cell].append(candidate)
    rows = sorted(cells, key=lambda cell: _place(seed, purpose, cell))
    seen: set[tuple[str, str]] = set()
    found: list[Group] = []
    while len(found) < count and any(cells.values()):
        for cell in rows:
            left = cells[cell]
            if left and len(found) < count:
                at = next((i for i, one in enumerate(left) if (one[0].task, one[0].item) not in seen), 0)
                chosen = left.pop(at)
                seen.add((chosen[0].task, chosen[0].item))
                found.append(chosen)
    return found


def _place(seed: int, purpose: str, key: object) -> bytes:
    return hashlib.sha256(json.dumps([seed, purpose, key], ensure_ascii=False).encode()).digest()
