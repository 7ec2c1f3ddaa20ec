"""Everything that a run may ask: items in the seeded order, their cells and repeats, as numbered slots.

A slot is one item in one cell at one repeat; with an arm it is one call. Slots are numbered in the order in which their
units enter, so the slots of the first n units are a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from services.orchestrator.domain import keys, prompts
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS, Cell, assign
from services.orchestrator.domain.gate.design import ItemOrder
from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.selection import shuffled, subset
from services.orchestrator.domain.spec import Spec


class Slot(NamedTuple):
    """One item in one cell at one repeat."""

    item: int
    cell: Cell
    repeat: int
    prompt: bytes


@dataclass(frozen=True, slots=True)
class TaskShape:
    """A task as it enters: `asked` items of `items`."""

    name: str
    items: int
    asked: int
    digest: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Workload:
    """The slots of a run.

    Attributes:
        tasks: In the document's order.
        items: In the order of their units.
        order: The units.
        slots: In the order of their units.
        ends: Number of slots in the first n + 1 units, by n.
    """

    tasks: tuple[TaskShape, ...]
    items: tuple[Item, ...]
    order: ItemOrder
    slots: Sequence[Slot] = field(repr=False)
    ends: Sequence[int] = field(repr=False)

    @classmethod
    def of(cls, spec: Spec, tasks: Sequence[Task], limit: int) -> Workload:
        """Select, order, assign cells and digest every prompt."""
        every = [item for task in tasks for item in task.items]
        chosen = subset(every, limit, spec.seed)
        entering = shuffled(chosen, spec.seed)
        order = ItemOrder.of([item.key for item in entering], {i.key: i.cluster for i in entering if i.cluster})
        place = {item.key: item for item in entering}
        items = tuple(place[key] for unit in order.units for key in unit)
        cells = assign(items, spec.contexts, spec.beliefs, spec.seed)
        slots: list[Slot] = []
        ends: list[int] = []
        index = 0
        for unit in order.units:
            for _ in unit:
                slots.extend(_slots(index, items[index], cells[index], spec.repeats))
                index += 1
            ends.append(len(slots))
        entered = {item.key for item in items}
        shapes = tuple(
            TaskShape(
                task.name,
                len(task.items),
                sum(item.key in entered for item in task.items),
                task.digest,
                task.notes,
            )
            for task in tasks
        )
        return cls(tasks=shapes, items=items, order=order, slots=slots, ends=ends)

    @property
    def units(self) -> int:
        """Units in all."""
        return self.order.size

    def upto(self, units: int) -> int:
        """Number of slots in the first `units` units."""
        return self.ends[units - 1] if units else 0

    @cached_property
    def cells(self) -> frozenset[tuple[str, str]]:
        """(context, belief) of every slot."""
        return frozenset((slot.cell.context, slot.cell.belief) for slot in self.slots)

    @property
    def contexts(self) -> tuple[str, ...]:
        """Contexts that occur, in the method's order."""
        found = {context for context, _ in self.cells}
        return tuple(context for context in CONTEXTS if context in found)

    @property
    def beliefs(self) -> tuple[str, ...]:
        """Belief levels that occur, in the method's order."""
        found = {belief for _, belief in self.cells}
        return tuple(belief for belief in BELIEFS if belief in found)

    def messages(self, slot: int) -> prompts.Messages:
        """The conversation of a slot."""
        found = self.slots[slot]
        return prompts.render(self.items[found.item], found.cell)


def _slots(index: int, item: Item, cells: Sequence[Cell], repeats: int) -> Iterator[Slot]:
    base = item.digest()
    for cell in cells:
        prompt = keys.prompt_digest(base, prompts.render(item, cell))
        for repeat in range(repeats):
            yield Slot(index, cell, repeat, prompt)
