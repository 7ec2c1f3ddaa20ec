"""Families of evaluations: counts, the last verdict of each, and what became of its judge.

A family is a name that the operator listed, or `other`: there are never more, whatever documents call themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from services.orchestrator.domain.gate.result import FAIL, INCONCLUSIVE, INVALID, PASS, Cause

OTHER = "other"
VERDICTS = (PASS, FAIL, INCONCLUSIVE, INVALID, "NONE")
STATES = ("queued", "running", "succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One evaluation.

    Attributes:
        name: `name` of its document.
        state: One of STATES; empty for one that was never started.
        verdict: Empty until there is one.
        causes: Of which kinds is what made it INVALID.
        judge: As the judge reports itself; empty without one.
        judge_digest: What a calibration of this judge is kept under.
        done: Replies it has, taken over or asked.
        reused: Of these, taken over from earlier work.
        planned: Replies asked at most.
        spend: In the document's currency; 0 without prices.
        created: Unix time.
        updated: Unix time.
    """

    id: str
    attempt: int
    name: str
    state: str
    verdict: str = ""
    causes: tuple[str, ...] = ()
    judge: str = ""
    judge_digest: str = ""
    done: int = 0
    reused: int = 0
    planned: int = 0
    spend: float = 0.0
    created: float = 0.0
    updated: float = 0.0


@dataclass(slots=True)
class Family:
    """What there is of one family.

    Attributes:
        states: Evaluations by state.
        verdicts: Evaluations by verdict.
        causes: INVALID evaluations by cause.
        replies: Replies that were asked for, over all evaluations.
        spend: Over all evaluations.
        running_done: Replies of the evaluations under way.
        running_planned: What these ask at most.
        queued_since: When the evaluation that waits for a replica for longest began to, Unix time; 0: none waits.
        last: The newest with a verdict.
        said: When each verdict was last given, Unix time.
        failed_at: When an evaluation last ended without a verdict; 0: never.
        judge_changes: How often a document's judge was another one than in its run before.
        judge_changed_at: When that was last found; 0: never.
    """

    states: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    replies: int = 0
    spend: float = 0.0
    running_done: int = 0
    running_planned: int = 0
    queued_since: float = 0.0
    last: Entry | None = None
    said: dict[str, float] = field(default_factory=dict)
    failed_at: float = 0.0
    judge_changes: int = 0
    judge_changed_at: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count an evaluation."""
        self.states[entry.state] += 1
        self.replies += entry.done - entry.reused
        self.spend += entry.spend
        if entry.state == "running":
            self.running_done += entry.done
            self.running_planned += entry.planned
        if entry.state == "queued":
            self.queued_since = min(self.queued_since or entry.updated, entry.updated)
        if entry.state == "failed":
            self.failed_at = max(self.failed_at, entry.updated)
        if entry.verdict not in VERDICTS:
            return
        self.verdicts[entry.verdict] += 1
        self.said[entry.verdict] = max(self.said.get(entry.verdict, 0.0), entry.updated)
        if entry.verdict == INVALID:
            self.causes.update(cause for cause in entry.causes if cause in list(Cause))
        if self.last is None or entry.updated > self.last.updated:
            self.last = entry


def families(entries: Iterable[Entry], listed: Collection[str]) -> Mapping[str, Family]:
    """Every listed family, and `other` for the rest, whether there are evaluations of it or not."""
    found = {name: Family() for name in (*listed, OTHER)}
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        found[entry.name if entry.name in listed else OTHER].add(entry)
        if entry.judge and entry.verdict:
            by_name.setdefault(entry.name, []).append(entry)
    for name, judged in by_name.items():
        _follow_judge(found[name if name in listed else OTHER], sorted(judged, key=lambda entry: entry.created))
    return found


def _follow_judge(family: Family, runs: Sequence[Entry]) -> None:
    for before, after in pairwise(runs):
        if before.judge != after.judge:
            family.judge_changes += 1
            family.judge_changed_at = max(family.judge_changed_at, after.updated)
