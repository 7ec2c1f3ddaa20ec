"""What a research document found, in one sentence: what each named contrast costs, apart from what fine-tuning costs."""

from __future__ import annotations

from collections.abc import Sequence

from services.orchestrator.domain.analysis.result import ALL, FALSE_BELIEF, OVERALL, Comparison, Row
from services.orchestrator.domain.making.made import MadeArm
from services.orchestrator.domain.recipe import UNTRANSFORMED

_NOTHING_NAMED = "a research document: it has no gate"


def finding(named: Sequence[Comparison], others: Sequence[Comparison], made: Sequence[MadeArm]) -> str:
    """The sentence, on wrong answers under a false belief; on all wrong answers where no user holds one.

    A contrast whose interval includes zero is said to show no difference. Where its reference was fine-tuned here on
    untransformed replies, what that cost against its base stands beside it.

    Args:
        named: The document's contrasts.
        others: Every other comparison of the evaluation.
        made: Arms that were made for it.
    """
    if not named:
        return _NOTHING_NAMED
    false_beliefs = any(each.row(OVERALL, ALL, FALSE_BELIEF) for each in named)
    belief, where = (FALSE_BELIEF, "under a false belief") if false_beliefs else (ALL, "over all questions")
    bases = {arm.arm: arm.base for arm in made if arm.style == UNTRANSFORMED}
    rows = {(each.treated, each.reference): each.row(OVERALL, ALL, belief) for each in (*named, *others)}
    parts, told = [], set()
    for contrast in named:
        control = contrast.reference
        part = _said(contrast, rows[contrast.treated, control])
        beside = rows.get((control, bases.get(control, "")))
        if beside is not None and control not in told:
            told.add(control)
            part += f", apart from what fine-tuning costs: {_size(beside)} ({control} against {bases[control]})"
        parts.append(part)
    return f"Wrong answers {where}: {'; '.join(parts)}"


def _said(contrast: Comparison, row: Row | None) -> str:
    arms = f"{contrast.treated} against {contrast.reference}"
    return f"{contrast.name} {_effect(row)}" + ("" if contrast.name == arms else f" ({arms})")


def _effect(row: Row | None) -> str:
    if row is None:
        return "was not measured"
    if row.lower is not None and row.upper is not None:
        if row.lower > 0:
            return f"costs {100 * row.estimate:.1f} points [{100 * row.lower:.1f}, {100 * row.upper:.1f}]"
        if row.upper < 0:
            return f"saves {-100 * row.estimate:.1f} points [{-100 * row.upper:.1f}, {-100 * row.lower:.1f}]"
    items = "one item" if row.n_items == 1 else f"{row.n_items:,} items"
    return f"makes no difference that {items} can show, {_size(row)}"


def _size(row: Row) -> str:
    if row.lower is None or row.upper is None:
        return f"{100 * row.estimate:+.1f} points"
    return f"{100 * row.estimate:+.1f} points [{100 * row.lower:+.1f}, {100 * row.upper:+.1f}]"
