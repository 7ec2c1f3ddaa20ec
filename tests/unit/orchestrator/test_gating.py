"""What of a document's planning counts as knowing the replies' variance."""

from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from services.orchestrator.service.prepare import prepare

Planning = evaluation_pb2.Planning


@pytest.mark.parametrize(
    ("planning", "known"),
    [
        (Planning(), False),
        (Planning(judge_share=0.3), False),
        (Planning(discordance=0.2), True),
        (Planning(rho=0.5, judge_share=0.3), True),
    ],
)
async def test_bets_rest_on_a_planned_variance_only_where_the_document_gives_one(
    suite: Any, document: Callable[..., Any], planning: evaluation_pb2.Planning, known: bool
) -> None:
    spec = document(planning=planning, gate=evaluation_pb2.Gate(stopping="anytime"))
    prepared = await prepare(suite.world, suite.order(spec).spec, 0)
    assert prepared.gating.design is not None
    assert prepared.gating.design.variances_known is known
