"""What makes two calls one call, and which items enter in which order."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.items import Item, Task
from services.orchestrator.domain.keys import call_seed, prompt_digest, response_key, subject_prefix
from services.orchestrator.domain.selection import cut, shuffled, subset
from services.orchestrator.domain.spec import Endpoint, Sampling, Spec, document_digest, gate_digest
from services.orchestrator.domain.subjects import Resolved, Subject, subjects, unlike
from services.orchestrator.domain.workload import Workload

Document = Callable[..., evaluation_pb2.EvaluationSpec]


def _items(count: int, task: str = "core", **changes: Any) -> list[Item]:
    return [
        Item(
            task=task,
            id=f"{task}{n}",
            question=f"Q{n}?",
            gold=("g",),
            false_answers=("w",),
            category="ab"[n % 2],
            **changes,
        )
        for n in range(count)
    ]


def _keys(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "digest": "sha256:a",
        "sampling": Sampling(),
        "scope": "",
        "draw": 0,
        "prompt": b"p",
        "repeat": 0,
    }
    values |= changes
    prefix = subject_prefix(values["digest"], values["sampling"], values["scope"], values["draw"])
    return response_key(prefix, values["prompt"], values["repeat"])


def test_every_part_of_a_call_is_in_its_key() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"digest": "sha256:b"},
        {"sampling": Sampling(temperature=0.7)},
        {"sampling": Sampling(seed=2)},
        {"scope": "e1/v1"},
        {"scope": "e1/v2"},
        {"draw": 1},
        {"prompt": b"q"},
        {"repeat": 1},
    ]
    assert len({_keys(**change) for change in changes}) == len(changes)
    assert _keys() == _keys()


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=3, unique=True))
def test_messages_cut_elsewhere_are_another_prompt(turns: list[tuple[str, str]]) -> None:
    joined = [("".join(role + content for role, content in turns), "")]
    assert (prompt_digest(b"i", turns) == prompt_digest(b"i", joined)) == (turns == joined)


def test_a_seed_is_the_same_for_every_arm_and_differs_by_prompt_repeat_and_draw() -> None:
    seeds = [
        call_seed(1, b"p", 0),
        call_seed(2, b"p", 0),
        call_seed(1, b"q", 0),
        call_seed(1, b"p", 1),
        call_seed(1, b"p", 0, 1),
    ]
    assert len(set(seeds)) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert call_seed(-5, b"p", 0) == call_seed(-5, b"p", 0)


@settings(max_examples=25)
@given(st.permutations(range(24)), st.integers(0, 5))
def test_the_order_of_the_file_plays_no_part(order: list[int], seed: int) -> None:
    items = _items(24)
    mixed = [items[place] for place in order]
    assert shuffled(mixed, seed) == shuffled(items, seed)
    assert {item.id for item in subset(mixed, 9, seed)} == {item.id for item in subset(items, 9, seed)}


def test_another_seed_is_another_order() -> None:
    assert shuffled(_items(50), 1) != shuffled(_items(50), 2)


@pytest.mark.parametrize("limit", [1, 7, 20, 59])
def test_a_subset_has_every_family_in_proportion(limit: int) -> None:
    items = _items(40) + _items(20, "medicine", difficulty="hard")
    found = subset(items, limit, 3)
    assert len(found) == limit
    counts = Counter((item.task, item.category) for item in found)
    for (task, _), count in counts.items():
        share = 20 if task == "core" else 10
        assert abs(count - limit * share / 60) <= 1.5
    assert [item.key for item in found] == [item.key for item in items if item in found]


def test_a_subset_of_everything_is_everything() -> None:
    items = _items(5)
    for limit in (0, 5, 9):
        assert subset(items, limit, 1) == tuple(items)


def test_a_task_is_cut_as_a_subset_is_and_says_so() -> None:
    task = Task(name="core", items=tuple(_items(40)), digest="sha256:0", notes=("n",))
    found = cut(task, 12, 3)
    assert found.items == subset(task.items, 12, 3)
    assert found.notes == ("n", "12 of its 40 items, drawn with seed 3")
    assert (cut(task, None, 3), cut(task, 40, 3), cut(task, 99, 3)) == (task, task, task)


def _spec(document: Document, read: Callable[..., Spec], **changes: Any) -> Spec:
    return read(document(**changes))


@pytest.fixture
def read(suite: Any) -> Callable[[evaluation_pb2.EvaluationSpec], Spec]:
    def spec(message: evaluation_pb2.EvaluationSpec) -> Spec:
        found = suite.order(message).spec
        assert isinstance(found, Spec)
        return found

    return spec


def test_slots_of_the_first_units_are_a_prefix(document: Document, read: Callable[..., Spec]) -> None:
    spec = read(document(repeats=2))
    items = _items(10) + [replace(item, cluster="c") for item in _items(3, "more")]
    workload = Workload.of(spec, [Task(name="core", items=tuple(items), digest="d")], 0)
    assert workload.units == 11
    assert workload.upto(11) == len(workload.slots) == 13 * 10 * 2
    for units in range(12):
        inside = {workload.items[slot.item].key for slot in workload.slots[: workload.upto(units)]}
        assert inside == set(workload.order.items(0, units))


def _resolved(digest: str = "sha256:a", **changes: Any) -> Resolved:
    values: dict[str, Any] = {"verifiable": False, "backend": "openai", "components": {}, "sampling": Sampling()}
    return Resolved(digest=digest, **(values | changes))


def test_what_was_resolved_survives_the_ledger() -> None:
    import json

    found = _resolved(sampling=Sampling(omit=("seed",), top_p=0.9), components={"model": "m"}, notes=("n",))
    assert Resolved.from_json(json.loads(json.dumps(found.to_json()))) == found


def _subjects(spec: Spec, lineage: str, **found: Resolved) -> tuple[Subject, ...]:
    return subjects([spec.arms[name] for name in spec.arm_order()], found, lineage)


def test_only_a_verifiable_subject_is_shared_and_a_twin_draws_again(
    document: Document, read: Callable[..., Spec]
) -> None:
    spec = read(document())
    workload = Workload.of(spec, [Task(name="core", items=tuple(_items(1)), digest="d")], 0)
    slot = workload.slots[0]
    first = _subjects(spec, "e1", v1=_resolved(), v2=_resolved("sha256:b"))
    second = _subjects(spec, "e2", v1=_resolved(), v2=_resolved("sha256:b"))
    assert [subject.scope for subject in first] == ["e1/v1", "e1/v2"]
    assert {subject.key(slot) for subject in first}.isdisjoint(subject.key(slot) for subject in second)
    shared = _subjects(spec, "e1", v1=_resolved(verifiable=True), v2=_resolved(verifiable=True))
    again = _subjects(spec, "e2", v1=_resolved(verifiable=True), v2=_resolved(verifiable=True))
    assert [subject.draw for subject in shared] == [0, 1]
    assert shared[1].keys(workload.slots) == [shared[1].key(each) for each in workload.slots]
    assert shared[0].key(slot) != shared[1].key(slot)
    assert shared[0].seed(slot) != shared[1].seed(slot)
    assert [subject.key(slot) for subject in shared] == [subject.key(slot) for subject in again]
    warmer = _resolved(verifiable=True, sampling=Sampling(temperature=1.0))
    assert [subject.draw for subject in _subjects(spec, "e1", v1=_resolved(verifiable=True), v2=warmer)] == [0, 0]


def test_arms_of_one_base_must_share_what_is_not_their_treatment(document: Document, read: Callable[..., Spec]) -> None:
    spec = read(document())
    same = {"weights": "w", "tokenizer": "t", "chat_template": "c", "engine": "e", "precision": "float32"}
    prompted = same | {"system_prompt": "s"}
    assert not unlike(_subjects(spec, "e", v1=_resolved(components=same), v2=_resolved(components=prompted)))
    other = same | {"precision": "bfloat16", "engine": "f"}
    found = unlike(_subjects(spec, "e", v1=_resolved(components=same), v2=_resolved(components=other)))
    assert found == ["v1 and v2 have the same weights but not the same engine, precision"]
    served = {"url": "u", "model": "m"}
    assert not unlike(_subjects(spec, "e", v1=_resolved(components=served), v2=_resolved(components=other)))


@pytest.mark.parametrize(
    ("change", "asks_again"),
    [
        ({"gate": evaluation_pb2.Gate(margin_pp=1)}, False),
        ({"name": "other"}, False),
        ({"planning": evaluation_pb2.Planning(rho=0.5)}, False),
        ({"warmth": evaluation_pb2.Warmth()}, False),
        ({"grading": evaluation_pb2.Grading(refusal_profile="ibrahim2026")}, False),
        ({"repeats": 2}, True),
        ({"conditions": evaluation_pb2.Conditions(contexts=["none"])}, True),
        ({"tasks": [evaluation_pb2.TaskSource(name="medqa")]}, True),
        ({"tasks": [evaluation_pb2.TaskSource(name="core", items=9)]}, True),
    ],
)
def test_only_what_is_asked_makes_another_document(
    document: Document, read: Callable[..., Spec], change: dict[str, Any], asks_again: bool
) -> None:
    before, after = read(document()), read(document(**change))
    assert (document_digest(before, 0) != document_digest(after, 0)) == asks_again
    assert gate_digest(before) != gate_digest(after)
    assert document_digest(before, 0) != document_digest(before, 10)


def test_where_a_key_comes_from_does_not_make_another_document(document: Document, read: Callable[..., Spec]) -> None:
    message = document()
    before = document_digest(read(message), 0)
    message.arms["v1"].endpoint.api_key_env = "OTHER_KEY"
    message.arms["v2"].prices.prompt_per_million = 3
    assert document_digest(read(message), 0) == before
    message.arms["v1"].endpoint.model = "other"
    source = read(message).arms["v1"].source
    assert isinstance(source, Endpoint)
    assert document_digest(read(message), 0) != before
