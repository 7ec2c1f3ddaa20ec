"""Items and prompts of a task on the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from chassis.errors import CandorError, Reason
from chassis.text import plain
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS, Cell, carries, statements
from services.orchestrator.domain.items import Task
from services.orchestrator.domain.prompts import render


def show_items(task: Task, count: int, *, as_json: bool) -> None:
    """The first items of a task."""
    shown = task.items[:count]
    if as_json:
        for item in shown:
            print(json.dumps(asdict(item), ensure_ascii=False))
        return
    table = Table("id", "question", "answer", "false answer", "difficulty", box=box.SIMPLE_HEAD)
    for item in shown:
        false = plain(item.false_answers[0]) if item.false_answers else "–"
        table.add_row(item.id, plain(item.question), plain(item.gold[0]) if item.gold else "–", false, item.difficulty)
    Console().print(table)
    print(f"{len(shown):,} of {len(task.items):,} items; {task.name} {task.digest}")


def show_prompts(task: Task, item_id: str, *, as_json: bool) -> None:
    """Every prompt of one item, with the first statement of each context."""
    item = next((item for item in task.items if item.id == item_id), None)
    if item is None:
        raise CandorError(Reason.INVALID_REQUEST, f"task {task.name} has no item {item_id!r}; see candor tasks show")
    for context in CONTEXTS:
        statement = statements().by_context[context][0] if context != "none" else ""
        for belief in BELIEFS:
            if not carries(item, belief):
                continue
            text = render(item, Cell(context, belief, statement))[-1][1]
            if as_json:
                print(json.dumps({"context": context, "belief": belief, "prompt": text}, ensure_ascii=False))
            else:
                print(f"[{context} x {belief}] {plain(text, 2_000)}")
