"""What a plan says of arms that have to be made."""

import io

from candor.orchestrator.v1 import orchestrator_pb2
from rich.console import Console

from candor_cli.view.plan import show_plan


def shown(making: orchestrator_pb2.MakingPlan) -> str:
    out = io.StringIO()
    show_plan(orchestrator_pb2.Plan(making=[making]), Console(file=out, width=200, color_system=None))
    return out.getvalue()


def test_what_an_endpoint_would_be_asked_and_what_it_costs() -> None:
    making = orchestrator_pb2.MakingPlan(
        base="original",
        arms=["warm", "cold"],
        conversations=1_617,
        validation_prompts=1_500,
        replies=3_667,
        rewriting_calls=7_000,
        rewrites_known=334,
        prompt_tokens=9_000_000,
        cost=12.5,
        training_steps=1_020,
        validation_replies=13_500,
        notes=["refusal has 40 conversations"],
    )
    text = shown(making)
    assert "warm, cold are made from original" in text
    assert "7,000 calls to a model, 334 are there already" in text
    assert "1,020 training steps" in text
    assert "12.50, a part of the cost above" in text
    assert "original: refusal has 40 conversations" in text


def test_the_embedded_rules_call_nobody() -> None:
    text = shown(orchestrator_pb2.MakingPlan(base="original", arms=["warm"], conversations=10, replies=10))
    assert "rewritten by the embedded rules" in text
    assert "calls to a model" not in text
    assert "cost of the rewrites" not in text
