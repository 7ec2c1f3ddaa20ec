"""The cuts of a table: rows by task, context and belief level with all marginals, and their reduction to items.

Rows are put into groups of one task, context and belief level once; a marginal only joins groups. So a table of hundreds
of lines costs a dozen passes over the pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.analysis.result import (
    ALL,
    ANY_CONTEXT,
    CONTEXT_GROUPS,
    FALSE_BELIEF,
    NO_BELIEF,
)
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.statistics.pairs import FAILED, REFUSAL, Ints, Mask, PairTable
from services.orchestrator.domain.statistics.sample import Sample

States = NDArray[np.int8]

PLAIN = "none"
POOLED_BELIEFS = {NO_BELIEF: ("none", "none_lead_in"), FALSE_BELIEF: ("asserts_false", "denies_true")}
# In the study's form a refusal counts as correct here and is dropped elsewhere.
STUDY_REFUSAL_CORRECT = "disinfo"

# States of one reply: without the outcome, with it, missing.
_MISSING = 2
_STATES = 3


def in_order(names: Collection[str], known: Sequence[str]) -> tuple[str, ...]:
    """Names in the method's order, unknown ones after them."""
    return (*(name for name in known if name in names), *sorted(set(names) - set(known)))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A yes/no outcome of both arms in every row.

    Attributes:
        metric: Name, as in Row.
        state: 3 * reference + treated, each 0, 1 or 2 (missing), shape (rows,).
        defined: Rows in which the outcome has a meaning; others were never asked for, shape (rows,).
    """

    metric: str
    state: States
    defined: Mask


def outcome(table: PairTable, metric: str) -> Outcome:
    """The outcome of a metric of Row."""
    base = "error" if metric == "error_study" else metric
    _, y_ref, y_trt = table.outcome(base)
    known_ref = table.known(base, table.verdict_ref, table.adopts_ref)
    known_trt = table.known(base, table.verdict_trt, table.adopts_trt)
    defined = np.ones(table.rows, dtype=np.bool_)
    if metric == "error_study":
        refused = (table.verdict_ref == REFUSAL) | (table.verdict_trt == REFUSAL)
        defined = ~refused | table.task.among((STUDY_REFUSAL_CORRECT,))
    elif metric == "adopts_belief":
        # Undefined where the user is right, and where the item has no false answer (decided in neither graded reply).
        graded = (table.verdict_ref <= REFUSAL) & (table.verdict_trt <= REFUSAL)
        defined = ~table.belief.among(("asserts_true",)) & ~(graded & ~known_ref & ~known_trt)
    ref = np.where(known_ref, y_ref, _MISSING)
    trt = np.where(known_trt, y_trt, _MISSING)
    return Outcome(metric, (_STATES * ref + trt).astype(np.int8), defined)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """An outcome in one task's rows of a cut, by unit.

    Attributes:
        pairs: Units with a pair graded in both arms.
        asked: Units asked, and what is missing: pairs asked, and sums of differences if every missing outcome favoured
            the treated arm (low) or went against it (high); each of shape (units asked,).
    """

    pairs: Sample
    asked: Ints
    low: Ints
    high: Ints


@dataclass(frozen=True, slots=True)
class Key:
    """A marginal: its name and the names that it joins."""

    name: str
    members: tuple[str, ...]


def context_keys(contexts: Sequence[str]) -> Iterator[Key]:
    """Every context and its marginals, `all` first."""
    yield Key(ALL, tuple(contexts))
    for name in contexts:
        yield Key(name, (name,))
    some = tuple(name for name in contexts if name != PLAIN)
    for group in CONTEXT_GROUPS:
        members = tuple(name for name in some if group_of(name) == group)
        if members:
            yield Key(group, members)
    if some:
        yield Key(ANY_CONTEXT, some)


def belief_keys(beliefs: Sequence[str]) -> Iterator[Key]:
    """Every belief level and its marginals, `all` first."""
    yield Key(ALL, tuple(beliefs))
    for name in beliefs:
        yield Key(name, (name,))
    for name, joined in POOLED_BELIEFS.items():
        members = tuple(belief for belief in joined if belief in beliefs)
        if members:
            yield Key(name, members)


def group_of(context: str) -> str:
    """Group of a context: `emotion` of `emotion:sad`; none of none."""
    return context.partition(":")[0]


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """A table with its rows grouped.

    Attributes:
        table: The pairs.
        tasks: Task names, sorted.
        contexts: Contexts asked, in the method's order.
        beliefs: Belief levels asked, in the method's order.
        unit: Unit of each row, counted within its task, shape (rows,).
        units: Number of units by task.
    """

    table: PairTable
    tasks: tuple[str, ...]
    contexts: tuple[str, ...]
    beliefs: tuple[str, ...]
    unit: Ints
    units: dict[str, int]
    groups: dict[tuple[str, str, str], Ints] = field(repr=False)

    @classmethod
    def of(cls, table: PairTable) -> Cuts:
        """Groups the rows of a table."""
        task, context, belief = table.task, table.context, table.belief
        code = (task.codes * max(1, len(context.names)) + context.codes) * max(1, len(belief.names)) + belief.codes
        order = np.argsort(code, kind="stable")
        present, starts = np.unique(code[order], return_index=True)
        groups = {}
        ends = [*starts[1:].tolist(), table.rows]
        for key, start, end in zip(present.tolist(), starts.tolist(), ends[: present.size], strict=True):
            rest, b = divmod(key, len(belief.names))
            t, c = divmod(rest, len(context.names))
            groups[task.names[t], context.names[c], belief.names[b]] = order[start:end]
        unit = np.zeros(table.rows, dtype=np.int64)
        units = {}
        for number, name in enumerate(task.names):
            rows = np.flatnonzero(task.codes == number)
            found, unit[rows] = np.unique(table.unit[rows], return_inverse=True)
            units[name] = int(found.size)
        return cls(
            table=table,
            tasks=tuple(name for name in task.names if units[name]),
            contexts=in_order({key[1] for key in groups}, CONTEXTS),
            beliefs=in_order({key[2] for key in groups}, BELIEFS),
            unit=unit,
            units=units,
            groups=groups,
        )

    def rows(self, task: str, contexts: Sequence[str], beliefs: Sequence[str]) -> Ints:
        """Rows of a cut of one task."""
        found = [
            self.groups[task, context, belief]
            for context in contexts
            for belief in beliefs
            if (task, context, belief) in self.groups
        ]
        return found[0] if len(found) == 1 else np.concatenate([np.empty(0, dtype=np.int64), *found])

    def cut(self, of: Outcome, task: str, rows: Ints) -> Cut:
        """An outcome in some rows of one task, by unit."""
        used = rows[of.defined[rows]]
        size = self.units[task]
        states = _STATES * _STATES
        counts = np.bincount(self.unit[used] * states + of.state[used], minlength=size * states).reshape(size, states)
        asked = counts.sum(axis=1)
        present = np.flatnonzero(asked)
        counts, asked = counts[present], asked[present]
        none, worse, better, both = counts[:, 0], counts[:, 1], counts[:, 3], counts[:, 4]
        pairs = none + worse + better + both
        whole = Sample(
            unit=present,
            pairs=pairs,
            bad_ref=better + both,
            bad_trt=worse + both,
            discordant=worse + better,
            judged=np.zeros_like(pairs),
        )
        # One reply missing: (ref 0, trt ?), (ref 1, trt ?), (ref ?, trt 0), (ref ?, trt 1); both missing.
        known = worse - better
        low = known - counts[:, 5] - counts[:, 6] - counts[:, 8]
        high = known + counts[:, 2] + counts[:, 7] + counts[:, 8]
        return Cut(pairs=whole.at(np.flatnonzero(pairs)), asked=asked, low=low, high=high)

    def lost(self, of: Outcome, rows: Ints) -> tuple[int, int, int, int, int]:
        """Pairs asked; failed calls of the reference and the treated arm; their answers without the outcome."""
        used = rows[of.defined[rows]]
        state = of.state[used]
        failed_ref = int(np.count_nonzero(self.table.verdict_ref[used] == FAILED))
        failed_trt = int(np.count_nonzero(self.table.verdict_trt[used] == FAILED))
        missing_ref = int(np.count_nonzero(state >= _MISSING * _STATES))
        missing_trt = int(np.count_nonzero(state % _STATES == _MISSING))
        return int(used.size), failed_ref, failed_trt, missing_ref - failed_ref, missing_trt - failed_trt


def join(samples: Sequence[Sample]) -> Sample:
    """Several tasks' samples as one, for counts and correlation; unit codes of different tasks may be equal."""
    if len(samples) == 1:
        return samples[0]
    names = ("unit", "pairs", "bad_ref", "bad_trt", "discordant", "judged")
    return Sample(**{name: np.concatenate([getattr(one, name) for one in samples]) for name in names})
