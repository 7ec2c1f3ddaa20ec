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
        training_tokens=4_200_000,
        validation_replies=13_500,
        notes=["refusal has 40 conversations"],
    )
    text = shown(making)
    assert "warm, cold are made from original" in text
    assert "7,000 calls to a model, 334 are there already" in text
    assert "1,020 training steps for each arm, about 4,200,000 tokens" in text
    assert "13,500 replies to 1,500 prompts to choose the checkpoint by" in text
    assert "12.50 for the rewrites, a part of the cost above" in text
    assert "original: refusal has 40 conversations" in text


def test_the_embedded_rules_call_nobody() -> None:
    text = shown(orchestrator_pb2.MakingPlan(base="original", arms=["warm"], conversations=10, replies=10))
    assert "rewritten by the embedded rules" in text
    assert "calls to a model" not in text
    assert "cost at most: " not in text
    assert "choose the checkpoint" not in text


def test_what_a_provider_trains_on_and_what_it_takes_for_it() -> None:
    making = orchestrator_pb2.MakingPlan(
        base="original",
        arms=["warm", "cold"],
        conversations=10,
        replies=10,
        training_steps=4,
        provider_tokens=123_456,
        provider_cost=3.0875,
        validation_cost=0.5,
    )
    text = shown(making)
    assert "4 training steps for each arm at the provider" in text
    assert "123,456, of all epochs and arms" in text
    assert "3.09 for the provider's training, 0.50 for choosing the checkpoint, a part of the cost above" in text
