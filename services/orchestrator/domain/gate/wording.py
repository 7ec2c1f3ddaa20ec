"""A gate's result in one sentence for a person."""

from services.orchestrator.domain.gate.evidence import MAX_FAILED, MAX_UNGRADABLE
from services.orchestrator.domain.gate.result import FAIL, INVALID, OPEN, PASS, GateResult


def explain(result: GateResult, *, ungraded: bool) -> str:
    """The sentence; `ungraded` says that too many replies, or too unequal shares of them, are ungradable."""
    head = f"{result.gate} ({result.candidate}): "
    if result.decision == INVALID:
        return (
            f"{head}{result.failed_ref:.1%} of the baseline's and {result.failed_trt:.1%} of the candidate's calls failed; "
            f"at most {MAX_FAILED:.0%} may. Run the same command again to ask only the failed calls"
        )
    if result.estimate is None:
        few = f"{result.n_items} items with both replies graded; at least 2 are needed"
        return f"{head}{_ungraded(result)}" if ungraded else f"{head}{few}"
    bound = "" if result.upper is None else f" (at most {100 * result.upper:+.1f})"
    seen = f"{head}{100 * result.estimate:+.1f} points{bound}, margin {result.margin_pp:g}: "
    closed = {PASS: "below the margin", FAIL: "worse", OPEN: "open"}
    if result.decision in closed:
        return seen + ("an improvement" if result.improvement else closed[result.decision])
    return seen + _undecided(result, ungraded=ungraded)


def _undecided(result: GateResult, *, ungraded: bool) -> str:
    if ungraded:
        return _ungraded(result)
    if 100 * result.judge_allowance >= result.margin_pp:
        return f"a judge decides {result.judge_share:.0%} of the pairs; calibrate it, for no PASS is possible without"
    if result.more_items is None:
        return "not decided; the difference lies so near the margin that more items are no remedy"
    repeats = f", or {result.more_repeats} more repeats" if result.more_repeats is not None else ""
    return f"not decided; about {result.more_items:,} more items{repeats}"


def _ungraded(result: GateResult) -> str:
    return (
        f"{result.ungradable_ref:.1%} of the baseline's and {result.ungradable_trt:.1%} of the candidate's replies are "
        f"ungradable; at most {MAX_UNGRADABLE:.0%} may be, and at most half the margin apart. Add a judge"
    )
