"""A plan on the terminal."""

from __future__ import annotations

from candor.orchestrator.v1 import orchestrator_pb2
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from candor_cli.view.text import percent
from chassis.text import plain


def show_plan(plan: orchestrator_pb2.Plan, console: Console | None = None) -> None:
    """Print the plan."""
    console = console or Console()
    tasks = ", ".join(f"{plain(task.name)} ({task.items:,})" for task in plan.tasks)
    lines = [
        f"{plan.items:,} items in {plan.cells_per_item} cells: {tasks}",
        f"{plan.calls:,} calls at most, about {plan.expected_calls:,} expected; {plan.reusable:,} replies are there already",
        f"tokens at most: {plan.prompt_tokens:,} prompt, {plan.completion_tokens:,} completion",
    ]
    if plan.HasField("cost"):
        lines.append(f"cost at most: {plan.cost:,.2f}")
    if plan.HasField("deterministic_share"):
        lines.append(f"the deterministic grader decided {percent(plan.deterministic_share)} of the pilot's replies")
    for making in plan.making:
        lines += _making(making)
    for line in lines:
        console.print(Text(line))
    if plan.gates:
        console.print(_power(plan))
        verdict = "can conclude" if plan.can_conclude else "cannot conclude: ask more items, or allow wider margins"
        console.print(Text(f"This document {verdict}.", style="bold green" if plan.can_conclude else "bold red"))
    notes = [(task.name, note) for task in plan.tasks for note in task.notes]
    notes += [(making.base, note) for making in plan.making for note in making.notes]
    for about, note in notes:
        console.print(Text(f"{plain(about)}: {plain(note)}", style="dim"))
    for warning in plan.warnings:
        console.print(Text(f"warning: {plain(warning)}", style="yellow"))


def _making(making: orchestrator_pb2.MakingPlan) -> list[str]:
    """What it takes to make the arms of one base."""
    arms = ", ".join(map(plain, making.arms))
    known = f", {making.rewrites_known:,} are there already" if making.rewrites_known else ""
    where = " at the provider" if making.provider_tokens else ""
    tokens = (
        f", about {making.training_tokens:,} tokens without padding; how long they take is "
        "measured on the device that trains, before it does"
        if making.training_tokens
        else ""
    )
    by = f"{making.rewriting_calls:,} calls to a model" if making.rewriting_calls else "by the embedded rules"
    lines = [
        (
            f"{arms} are made from {plain(making.base)}: at most {making.conversations:,} conversations with "
            f"{making.replies:,} replies for each style, rewritten {by}{known}"
        ),
        (f"  then {making.training_steps:,} training steps for each arm{where}{tokens}"),
    ]
    if making.validation_prompts:
        lines.append(
            f"  then {making.validation_replies:,} replies to {making.validation_prompts:,} prompts to choose the checkpoint by"
        )
    if making.prompt_tokens or making.completion_tokens:
        lines.append(
            f"  tokens of the rewrites at most: {making.prompt_tokens:,} prompt, {making.completion_tokens:,} completion"
        )
    if making.provider_tokens:
        lines.append(
            f"  tokens that the provider trains on at most: {making.provider_tokens:,}, of all epochs and arms"
        )
    costs = []
    if making.HasField("cost"):
        costs.append(f"{making.cost:,.2f} for the rewrites")
    if making.HasField("provider_cost"):
        costs.append(f"{making.provider_cost:,.2f} for the provider's training")
    if making.HasField("validation_cost"):
        costs.append(f"{making.validation_cost:,.2f} for choosing the checkpoint")
    if costs:
        lines.append(f"  cost at most: {', '.join(costs)}, a part of the cost above")
    return lines


def _power(plan: orchestrator_pb2.Plan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Chances of a decision", title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("gate", no_wrap=True)
    several = len({gate.candidate for gate in plan.gates}) > 1
    if several:
        table.add_column("candidate")
    for column in (
        "margin",
        "items",
        "PASS\nif equal",
        "FAIL at\n2 x margin",
        "PASS at\nmargin",
        "detectable\npoints",
        "items\nfor 80 %",
    ):
        table.add_column(column, justify="right")
    for gate in plan.gates:
        table.add_row(
            gate.gate + ("" if gate.critical else " (advisory)"),
            *([plain(gate.candidate)] if several else []),
            f"{gate.margin_pp:g}",
            f"{gate.items:,}",
            percent(gate.pass_if_equal),
            percent(gate.fail_if_twice_margin),
            percent(gate.pass_at_margin),
            f"{gate.minimum_detectable_pp:.1f}" if gate.HasField("minimum_detectable_pp") else "–",
            f"{gate.items_for_80:,}" if gate.HasField("items_for_80") else "–",
        )
    return table
