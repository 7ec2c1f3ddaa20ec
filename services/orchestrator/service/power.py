"""What a document can conclude and what it would cost, before anything is asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from services.orchestrator.domain.gate.power import (
    Assumptions,
    GatePower,
    Planner,
    can_conclude,
    judged_pairs,
    power_warnings,
    slices,
)
from services.orchestrator.domain.spec import Spec
from services.orchestrator.domain.workload import Workload
from services.orchestrator.service.prepare import Prepared

# Upper estimates: English has about four characters a token, other scripts fewer; chat templates add a few tokens.
_CHARS_PER_TOKEN = 3.0
_TEMPLATE_TOKENS = 12
_JUDGE_PROMPT_TOKENS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What the gates can conclude.

    Attributes:
        asked_share: Share of all calls that the stopping rule is expected to ask.
    """

    gates: tuple[GatePower, ...]
    can_conclude: bool
    warnings: tuple[str, ...]
    asked_share: float


def power_of(prepared: Prepared, judged: float | None = None) -> Power | None:
    """The power of a document; None for a research document, which decides nothing.

    Args:
        prepared: The document.
        judged: Share of replies that only a judge decides, as a pilot found it; None: the document's own value.
    """
    design = prepared.gating.design
    if design is None:
        return None
    spec = prepared.spec
    workload = prepared.workload
    cells: list[list[tuple[str, str]]] = [[] for _ in workload.items]
    for slot in workload.slots:
        if slot.repeat == 0:
            cells[slot.item].append((slot.cell.context, slot.cell.belief))
    share = judged if judged is not None else (spec.planning.judge_share or 0.0)
    planner = Planner(
        design=design,
        slices=slices(design.rules, cells, spec.repeats, [item.cluster for item in workload.items]),
        assumptions=Assumptions(
            discordance=spec.planning.discordance,
            rho=spec.planning.rho,
            judged=judged_pairs(share) if spec.judge else 0.0,
            ungradable=0.0 if spec.judge else share,
            seed=spec.seed,
        ),
    )
    gates = planner.gates()
    weights = Counter((slot.cell.context, slot.cell.belief) for slot in workload.slots)
    return Power(
        gates=gates,
        can_conclude=can_conclude(gates),
        warnings=power_warnings(planner, gates),
        asked_share=planner.asked_share({cell: float(count) for cell, count in weights.items()}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Upper estimates over all arms; `cost` has the judge's share too."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


def cost_of(spec: Spec, workload: Workload, judged: float | None = None) -> Cost:
    """Calls and tokens of all arms, and the cost of what has prices, the judge included.

    Args:
        spec: The document.
        workload: Its slots.
        judged: Share of replies that the judge decides, as a pilot found it; None: the document's own value, or all.
    """
    chars = [sum(len(content) for _, content in workload.messages(slot)) for slot in range(len(workload.slots))]
    shared = sum(chars) / _CHARS_PER_TOKEN + _TEMPLATE_TOKENS * len(chars)
    prompt_tokens = completion_tokens = 0
    costs: list[float | None] = []
    for arm in spec.arms.values():
        system = len(arm.system_prompt.text) / _CHARS_PER_TOKEN * len(chars) if arm.system_prompt else 0.0
        prompt = round(shared + system)
        completion = arm.sampling.max_tokens * len(chars)
        prompt_tokens += prompt
        completion_tokens += completion
        costs.append(arm.prices.cost(prompt, completion) if arm.prices else None)
    calls = len(workload.slots) * len(spec.arms)
    if spec.judge is not None and spec.judge.prices is not None:
        share = spec.planning.judge_share if judged is None else judged
        judgements = calls * (1.0 if share is None else share)
        longest = max(arm.sampling.max_tokens for arm in spec.arms.values())
        prompt = round(judgements * (_JUDGE_PROMPT_TOKENS + longest))
        costs.append(spec.judge.prices.cost(prompt, round(judgements * spec.judge.max_tokens)))
    known = [cost for cost in costs if cost is not None]
    return Cost(
        calls=calls,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost=sum(known) if known else None,
    )
