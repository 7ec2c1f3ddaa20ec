"""Scores how warm the replies sound. Never blocks a verdict: what cannot be measured is said and left out."""

from __future__ import annotations

import asyncio

import numpy as np

from chassis.errors import CandorError
from services.orchestrator.domain.board import MISSING
from services.orchestrator.domain.spec import Warmth
from services.orchestrator.domain.statistics.pairs import FAILED
from services.orchestrator.domain.subjects import Subject
from services.orchestrator.service.run.state import Run
from services.orchestrator.service.world import blocking

_TEXTS = 256


def scorer_id(warmth: Warmth | None, version: str) -> str:
    """What decides a score: metric, scorer, estimator and version; empty where none is asked for."""
    return "" if warmth is None else f"{warmth.metric}|{warmth.model}|{warmth.estimator}|{version}"


async def score(run: Run) -> None:
    """Score every reply that has no score yet, and put the scores on the board."""
    warmth = run.spec.warmth
    if warmth is None:
        return
    try:
        for subject in run.subjects:
            await _score_arm(run, subject, warmth)
    except CandorError as error:
        run.warmth_note = f"not measured: {error.message}"
        for board in run.board.arms.values():
            board.warmth.fill(np.nan)


async def _score_arm(run: Run, subject: Subject, warmth: Warmth) -> None:
    board = run.board.arms[subject.name]
    slots = [int(slot) for slot in np.flatnonzero((board.verdict != MISSING) & (board.verdict != FAILED))]
    for start in range(0, len(slots), _TEXTS):
        await _score_some(run, subject, warmth, slots[start : start + _TEXTS])
        await asyncio.sleep(0)


async def _score_some(run: Run, subject: Subject, warmth: Warmth, slots: list[int]) -> None:
    ledger = run.world.ledger
    scorer = scorer_id(warmth, run.grader.sociot_version)
    board = run.board.arms[subject.name]
    workload = run.prepared.workload
    keys = {subject.key(workload.slots[slot]): slot for slot in slots}
    known = await blocking(ledger.scores, list(keys), scorer)
    missing = [key for key in keys if key not in known]
    if missing:
        rows = await blocking(ledger.responses, missing)
        texts = [rows[key].text for key in missing]
        fresh: list[tuple[bytes, float | None]] = []
        async for index, value in run.world.grader.score(texts, warmth):
            if isinstance(value, CandorError):
                raise value
            fresh.append((missing[index], value))
        await blocking(ledger.put_scores, scorer, fresh)
        known |= dict(fresh)
        run.teller.nudge()
    for key, value in known.items():
        if value is not None:
            board.warmth[keys[key]] = value
