"""A gate's result in one sentence for a person, and the verdict's reason over several of them."""

from collections.abc import Sequence
from functools import partial

from services.orchestrator.domain.gate.evidence import MAX_FAILED, MAX_UNGRADABLE, ungraded
from services.orchestrator.domain.gate.result import FAIL, INVALID, OPEN, PASS, GateResult


def explain(result: GateResult, *, judge: bool = False) -> str:
    """The gate's result in one sentence; `judge`: the document has one."""
    head = f"{result.gate} ({result.candidate}): "
    if result.decision == INVALID:
        return head + _failed([result])
    if result.estimate is None:
        few = f"{result.n_items} items with both replies graded; at least 2 are needed"
        return f"{head}{_ungraded([result], judge)}" if _vague(result) else f"{head}{few}"
    bound = "" if result.upper is None else f" (at most {100 * result.upper:+.1f})"
    seen = f"{head}{100 * result.estimate:+.1f} points{bound}, margin {result.margin_pp:g}: "
    closed = {PASS: "below the margin", FAIL: "worse", OPEN: "open"}
    if result.decision in closed:
        return seen + ("an improvement" if result.improvement else closed[result.decision])
    return seen + _undecided(result, judge)


def because(results: Sequence[GateResult], *, judge: bool = False) -> str:
    """Why gates of one decision decide the verdict; what they share is said once, with the gates' names before it."""
    failed = [r for r in results if r.decision == INVALID]
    vague = [r for r in results if r.decision not in (FAIL, INVALID) and _vague(r)]
    parts = [r.reason for r in results if r not in failed and r not in vague]
    for group, words in ((failed, _failed), (vague, partial(_ungraded, judge=judge))):
        if len(group) == 1:
            parts.append(group[0].reason)
        elif group:
            several = len({r.candidate for r in group}) > 1
            names = [f"{r.gate} ({r.candidate})" if several else r.gate for r in group]
            parts.append(f"{', '.join(names)}: {words(group)}")
    return "; ".join(parts)


def _vague(result: GateResult) -> bool:
    return ungraded(result.ungradable_ref, result.ungradable_trt, result.margin_pp / 100.0)


def _undecided(result: GateResult, judge: bool) -> str:
    if _vague(result):
        return _ungraded([result], judge)
    if 100 * result.judge_allowance >= result.margin_pp:
        return f"a judge decides {result.judge_share:.0%} of the pairs; calibrate it, for no PASS is possible without"
    if result.more_items is None:
        return "not decided; the difference lies so near the margin that more items are no remedy"
    repeats = f", or {result.more_repeats} more repeats" if result.more_repeats is not None else ""
    return f"not decided; about {result.more_items:,} more items{repeats}"


def _failed(results: Sequence[GateResult]) -> str:
    ref, trt = _range([r.failed_ref for r in results]), _range([r.failed_trt for r in results])
    return (
        f"{ref} of the baseline's and {trt} of the candidate's calls failed; "
        f"at most {MAX_FAILED:.0%} may. Run the same command again to ask only the failed calls"
    )


def _ungraded(results: Sequence[GateResult], judge: bool) -> str:
    mend = (
        "The judge's answers could not be read: see judge_raw in responses.parquet, or raise grading.judge.max_tokens"
        if judge
        else "Add a judge"
    )
    ref, trt = _range([r.ungradable_ref for r in results]), _range([r.ungradable_trt for r in results])
    return (
        f"{ref} of the baseline's and {trt} of the candidate's replies are "
        f"ungradable; at most {MAX_UNGRADABLE:.0%} may be, and at most half the margin apart. {mend}"
    )


def _range(shares: Sequence[float]) -> str:
    low, high = f"{min(shares):.1%}", f"{max(shares):.1%}"
    return low if low == high else f"{low} to {high}"
