"""Balance, determinism, and that a statement is a matter of the item and its context alone."""

import re
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS, Cell, assign, carries, statements
from services.orchestrator.domain.items import Item

CONTEXT_LISTS = st.lists(st.sampled_from(CONTEXTS), min_size=1, unique=True)


def make_items(counts: Sequence[int]) -> list[Item]:
    """Items of two tasks, `counts[i]` of them in category i."""
    return [
        Item(
            task="ab"[category % 2],
            id=f"q{category}-{number}",
            question="Which?",
            gold=("c",),
            false_answers=("w",),
            category=str(category),
        )
        for category, count in enumerate(counts)
        for number in range(count)
    ]


ITEMS = st.lists(st.integers(0, 23), min_size=1, max_size=5).map(make_items)


def spread(counts: Counter[str], over: Sequence[str]) -> int:
    """Difference of the largest and the smallest count, absent ones counted as 0."""
    values = [counts[name] for name in over]
    return max(values) - min(values)


def contexts_of(cells: Sequence[tuple[Cell, ...]]) -> list[str]:
    return [cell.context for own in cells for cell in own if cell.belief == "none" and cell.context != "none"]


def test_statements_of_every_context_are_five_and_unlike() -> None:
    found = statements()
    assert {name: len(ids) for name, ids in found.by_context.items()} == dict.fromkeys(CONTEXTS[1:], 5)
    assert len(set(found.texts.values())) == 40


@pytest.mark.parametrize("text", [*statements().texts.values(), statements().lead_in])
def test_every_statement_is_one_or_two_sentences_in_the_first_person(text: str) -> None:
    assert 1 <= len(re.findall(r"[.!](?= |$)", text)) <= 2
    assert text.endswith((".", "!"))
    assert "  " not in text
    assert ".." not in text
    assert "?" not in text
    assert re.search(r"\b(I|me|my|we)\b", text, re.IGNORECASE)


def test_default_design_has_ten_cells_per_item() -> None:
    for cells in assign(make_items([17]), None, None, 1):
        assert [cell.belief for cell in cells] == [*BELIEFS, *BELIEFS]
        assert {cell.context for cell in cells[:5]} == {"none"}
        assert len({cell.context for cell in cells[5:]} - {"none"}) == 1


@given(ITEMS, st.integers())
def test_rotated_contexts_and_their_statements_are_balanced_everywhere(items: list[Item], seed: int) -> None:
    cells = assign(items, None, None, seed)
    assert spread(Counter(contexts_of(cells)), CONTEXTS[1:]) <= 1
    for part in ({item.task for item in items}, {item.category for item in items}):
        for name in part:
            own = [c for item, c in zip(items, cells, strict=True) if name in (item.task, item.category)]
            assert spread(Counter(contexts_of(own)), CONTEXTS[1:]) <= 1
    used = Counter(cell.statement for own in cells for cell in own if cell.belief == "none")
    for ids in statements().by_context.values():
        assert spread(used, ids) <= 1


@given(ITEMS, CONTEXT_LISTS, st.integers())
def test_listed_contexts_go_to_every_item_with_balanced_statements(
    items: list[Item], contexts: list[str], seed: int
) -> None:
    cells = assign(items, contexts, ["none", "asserts_false"], seed)
    for own in cells:
        assert [(c.context, c.belief) for c in own] == [(x, b) for x in contexts for b in ("none", "asserts_false")]
    used = Counter(cell.statement for own in cells for cell in own if cell.belief == "none")
    for name in contexts:
        assert spread(used, statements().by_context.get(name, [""])) <= 1


@given(ITEMS, st.none() | CONTEXT_LISTS, st.integers(), st.randoms())
def test_arrival_order_changes_nothing(
    items: list[Item], contexts: list[str] | None, seed: int, random: object
) -> None:
    expected = {item.key: cells for item, cells in zip(items, assign(items, contexts, None, seed), strict=True)}
    moved = list(items)
    random.shuffle(moved)  # type: ignore[attr-defined]
    assert dict(zip([item.key for item in moved], assign(moved, contexts, None, seed), strict=True)) == expected


@given(ITEMS, st.none() | CONTEXT_LISTS, st.integers())
def test_one_statement_serves_every_belief_level(items: list[Item], contexts: list[str] | None, seed: int) -> None:
    for cells in assign(items, contexts, None, seed):
        for name in {cell.context for cell in cells}:
            found = {cell.statement for cell in cells if cell.context == name}
            assert len(found) == 1
            assert found <= set(statements().by_context.get(name, ("",)))


@given(ITEMS, st.integers(), st.lists(st.sampled_from(BELIEFS), min_size=1, unique=True))
def test_leaving_out_belief_levels_moves_no_statement(items: list[Item], seed: int, beliefs: list[str]) -> None:
    full, part = assign(items, None, None, seed), assign(items, None, beliefs, seed)
    for cells, fewer in zip(full, part, strict=True):
        assert fewer == tuple(sorted((c for c in cells if c.belief in beliefs), key=lambda c: _place(c, beliefs)))


def _place(cell: Cell, beliefs: list[str]) -> tuple[bool, int]:
    return cell.context != "none", beliefs.index(cell.belief)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_seed_decides(seed: int) -> None:
    items = make_items([40])
    assert assign(items, None, None, seed) == assign(items, None, None, seed)
    assert assign(items, None, None, seed) != assign(items, None, None, seed + 1)


def test_contexts_listed_do_not_deal_the_same_number_of_statement_to_an_item() -> None:
    cells = assign(make_items([100]), ["emotion:sad", "stakes:high"], ["none"], 1)
    pairs = {tuple(cell.statement.rsplit("-")[-1] for cell in own) for own in cells}
    assert len(pairs) > 15


@pytest.mark.parametrize(
    ("item", "beliefs"),
    [
        (Item(task="t", id="1", question="q", gold=("c",)), ["none", "none_lead_in", "denies_true", "asserts_true"]),
        (Item(task="t", id="1", question="q", kind="harmful_request"), ["none"]),
        (Item(task="t", id="1", question="q", gold=("c",), messages=(("user", "hi"),)), ["none"]),
    ],
)
def test_an_item_is_asked_only_what_it_can_carry(item: Item, beliefs: list[str]) -> None:
    assert [belief for belief in BELIEFS if carries(item, belief)] == beliefs
    (cells,) = assign([item], None, None, 1)
    assert list(dict.fromkeys(cell.belief for cell in cells)) == beliefs


def test_ready_made_messages_have_one_cell_whatever_the_document_lists() -> None:
    item = Item(task="t", id="1", question="hi", gold=("c",), messages=(("user", "hi"),))
    assert assign([item], ["emotion:sad"], ["asserts_false"], 1) == [(Cell("none", "none", ""),)]


def test_ready_made_messages_leave_no_holes_in_the_rotation() -> None:
    plain = make_items([16])
    ready = [Item(task="a", id=f"m{n}", question="hi", messages=(("user", "hi"),), category="0") for n in range(9)]
    cells = assign([*plain, *ready], None, ["none"], 3)
    assert set(Counter(contexts_of(cells)).values()) == {2}
