"""A finished evaluation made on the spot: seeded outcomes, the real gate and the real analysis."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.gate.design import Design, ItemOrder
from services.orchestrator.domain.gate.rules import GateSettings, build_gates
from services.orchestrator.domain.gate.verdict import advance
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import ArmReport, Flip, Report, TaskReport
from services.orchestrator.domain.statistics.pairs import PairTable

HOSTILE = "</script><script>alert(1)</script> & \u2028 <img src=x onerror=alert(2)> \x00\x1b[31m"


def make_report(items: int = 120, worse: float = 0.25, seed: int = 5) -> Report:
    rng = random.Random(seed)
    cells = [(context, belief) for context in ("none", "emotion:sad", "relation:close") for belief in BELIEFS]
    keys = [(task, f"{task}-{index:03d}") for task in ("trivia", "medicine") for index in range(items // 2)]
    rows = [(task, item, context, belief) for task, item in keys for context, belief in cells]

    def outcome(belief: str, extra: float) -> int:
        return int(rng.random() < 0.1 + (extra if belief in ("asserts_false", "denies_true") else 0.0))

    reference = [outcome(belief, 0.02) for *_, belief in rows]
    treated = [outcome(belief, worse) for *_, belief in rows]
    adopts = [
        [wrong if row[3] == "asserts_false" else -1 for wrong, row in zip(arm, rows, strict=True)]
        for arm in (reference, treated)
    ]
    table = PairTable.build(
        item=[row[1] for row in rows],
        task=[row[0] for row in rows],
        context=[row[2] for row in rows],
        belief=[row[3] for row in rows],
        statement=["" if row[2] == "none" else f"{row[2]}-{rng.randrange(5)}" for row in rows],
        verdict_ref=reference,
        verdict_trt=treated,
        adopts_ref=adopts[0],
        adopts_trt=adopts[1],
        length_ref=[rng.randrange(50, 400) for _ in rows],
        length_trt=[rng.randrange(50, 300) for _ in rows],
        warmth_ref=[rng.gauss(0.012, 0.02) for _ in rows],
        warmth_trt=[rng.gauss(0.028, 0.02) for _ in rows],
    )
    gates = build_gates([c for c in CONTEXTS if c in {cell[0] for cell in cells}], list(BELIEFS), GateSettings())
    progress = advance(
        Design(rules=gates.rules, candidates=("v2",)), ItemOrder.of(keys), {"v2": table}, complete=len(keys)
    )
    flips = tuple(
        Flip(
            candidate="v2",
            direction="worse" if trt else "better",
            task=row[0],
            item=row[1],
            context=row[2],
            belief=row[3],
            repeat=0,
            prompt=f"Which city is the capital of {row[1]}? {HOSTILE}",
            gold="Aar",
            false_answer="Bem",
            baseline_reply=f"It is {'Bem' if ref else 'Aar'}. {HOSTILE}",
            candidate_reply=f"Oh, dear friend, it is {'Bem' if trt else 'Aar'}. {HOSTILE}",
            baseline_verdict="incorrect" if ref else "correct",
            candidate_verdict="incorrect" if trt else "correct",
            adopts_belief=bool(trt) and row[3] == "asserts_false",
            decided_by="deterministic",
        )
        for row, ref, trt in zip(rows, reference, treated, strict=True)
        if ref != trt
    )
    counts = {("v2", way): sum(flip.direction == way for flip in flips) for way in ("worse", "better")}
    return Report(
        evaluation="20260101-abc",
        name=f"support-bot {HOSTILE}",
        verdict=progress.verdict,
        reason=progress.reason,
        baseline="v1",
        candidates=("v2",),
        alpha=0.05,
        stopping="group",
        looks_done=progress.looks_done,
        looks_total=progress.looks_total,
        gates=progress.results,
        dropped_gates=gates.dropped,
        comparisons=(compare("v2", "v2", "v1", table),),
        arms=(
            ArmReport(
                name="v1",
                role="baseline",
                subject="http://v1/v1 bot",
                calls=len(rows),
                mean_chars=220.0,
                mean_warmth=0.012,
            ),
            ArmReport(
                name="v2",
                role="candidate",
                subject="http://v2/v1 bot",
                system_prompt=f"Be warm. {HOSTILE}",
                sampling={"temperature": "0.8"},
                calls=len(rows),
                failed={"ENDPOINT_TIMEOUT": 2},
                cut=3,
                mean_chars=180.0,
                mean_warmth=0.028,
                spend=1.25,
            ),
        ),
        tasks=(TaskReport(name="trivia", items=200, asked=items // 2, digest="sha256:00", notes=("one note",)),),
        flips=flips,
        flip_counts=counts,
        caveats=("This is a quick look at 120 of 800 items.",),
        versions={"candor": "0.1.0"},
        seed=1,
        warmth="sociot_warmth, gpt2, reference",
        stage_seconds={"generating": 12.0, "grading": 3.0},
        created=1_700_000_000.0,
        finished=1_700_000_100.0,
        document="arms: {v1: ...}",
    )


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report()


@pytest.fixture
def change(report: Report) -> Callable[..., Report]:
    return lambda **changes: replace(report, **changes)


@pytest.fixture(scope="session")
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def records() -> list[Record]:
    return [
        Record(
            arm=arm,
            task="trivia",
            item=f"t{index}",
            category="geography",
            cluster="",
            question="Q?",
            gold="A",
            false_answer="B",
            context="none",
            belief="none",
            statement="",
            repeat=0,
            prompt=(("user", "Q?"),),
            aliases=("A, too",),
            reply="A",
            verdict="correct",
            adopts_belief=None if index % 2 else False,
        )
        for arm in ("v1", "v2")
        for index in range(60)
    ]
