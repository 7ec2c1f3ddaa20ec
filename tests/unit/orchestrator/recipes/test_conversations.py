"""The sample of a conversation file: seeded, balanced, bounded, and its validation prompts apart from it."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.making.conversations import (
    Conversation,
    Reservoir,
    from_lines,
    lines,
    quotas,
    split,
)
from services.orchestrator.domain.making.rewrites import RewriteRow, kept_turns, places, rewritten, training_lines
from services.orchestrator.domain.recipe import CATEGORIES


def _talk(number: int, category: str = "other", prompt: str = "") -> Conversation:
    turns = (("user", prompt or f"question {number}"), ("assistant", f"reply {number}"))
    return Conversation(id=f"c{number}", row=number, messages=turns, category=category)


def _sampled(talks: list[Conversation], wanted: dict[str, int], seed: int = 1) -> dict[str, list[str]]:
    reservoir = Reservoir(wanted, seed)
    for talk in talks:
        reservoir.offer(talk)
    return {name: [each.id for each in some] for name, some in reservoir.sample().items()}


def test_the_order_of_the_file_plays_no_part_and_the_seed_does() -> None:
    talks = [_talk(number, CATEGORIES[number % 6]) for number in range(600)]
    wanted = quotas(12, balanced=True)
    first = _sampled(talks, wanted)
    random.Random(3).shuffle(talks)
    assert _sampled(talks, wanted) == first
    assert _sampled(talks, wanted, seed=2) != first


def test_a_million_rows_are_never_held() -> None:
    reservoir = Reservoir({"other": 2}, 1)
    for number in range(2000):
        reservoir.offer(_talk(number))
    assert sum(map(len, reservoir.sample().values())) == 2 + 1 + 20
    assert reservoir.seen == Counter(other=2000)


def test_the_sample_is_random_over_the_file() -> None:
    counts = Counter(
        int(name[1:]) // 100
        for seed in range(40)
        for name in _sampled([_talk(n) for n in range(500)], {"other": 20}, seed)["other"][:20]
    )
    assert all(110 <= counts[part] <= 210 for part in range(5)), counts


def test_a_conversation_that_is_there_twice_counts_once() -> None:
    talks = [_talk(number) for number in range(5)] * 3
    reservoir = Reservoir({"other": 10}, 1)
    for talk in talks:
        reservoir.offer(talk)
    assert len(reservoir.sample()["other"]) == 5
    assert reservoir.doubled == 10


@given(total=st.integers(1, 5000))
@settings(max_examples=50)
def test_quotas_add_up_and_differ_by_one_at_most(total: int) -> None:
    found = quotas(total, balanced=True)
    assert sum(found.values()) == total
    assert max(found.values()) - min(found.values()) <= 1
    assert quotas(total, balanced=False) == {"any": total}


def test_training_and_validation_share_no_question() -> None:
    talks = {"other": [_talk(1, prompt="Same?"), _talk(2), _talk(3, prompt=" same? "), _talk(4), _talk(5)]}
    training, prompts = split(talks, {"other": 2}, {"other": 3})
    assert [each.id for each in training] == ["c1", "c2"]
    assert [each.id for each in prompts] == ["c4", "c5"]


def test_a_prompt_that_training_asks_too_is_replaced_from_the_reserve() -> None:
    talks = {"other": [_talk(number, prompt="Same?" if number < 6 else "") for number in range(12)]}
    training, prompts = split(talks, {"other": 2}, {"other": 3})
    assert [each.row for each in training] == [0, 1]
    assert [each.row for each in prompts] == [6, 7, 8]


def test_a_category_that_is_short_is_shared_in_proportion() -> None:
    talks = {"advice": [_talk(number) for number in range(6)], "other": [_talk(number) for number in range(10, 40)]}
    training, prompts = split(talks, {"advice": 10, "other": 10}, {"advice": 5, "other": 5})
    assert Counter(each.row < 10 for each in training) == {True: 4, False: 10}
    assert Counter(each.row < 10 for each in prompts) == {True: 2, False: 5}


def test_lines_are_read_back_as_they_were() -> None:
    talk = Conversation(
        id="x",
        row=3,
        messages=(("system", "a\u2028b"), ("user", "c\nd"), ("assistant", "é")),
        category="advice",
        cut_turns=2,
    )
    assert from_lines(lines([talk, talk])) == [talk, talk]
    assert talk.opening == (("system", "a\u2028b"), ("user", "c\nd"))


def _four(reply: str = "one") -> Conversation:
    turns = (
        ("user", "a"),
        ("assistant", reply),
        ("user", "b"),
        ("assistant", "two"),
        ("user", "c"),
        ("assistant", "three"),
    )
    return Conversation(id="f", row=0, messages=turns, category="other")


def _rows(talk: Conversation, *accepted: bool) -> dict[bytes, RewriteRow]:
    return {
        place.key: RewriteRow(key=place.key, evaluation_id="e", text=f"new {place.turn}", accepted=good)
        for place, good in zip(places([talk]), accepted, strict=True)
    }


@pytest.mark.parametrize(
    ("warm", "cold", "turns"),
    [
        ((True, True, True), (True, True, True), 6),
        ((True, False, True), (True, True, True), 2),
        ((True, True, True), (True, True, False), 4),
        ((True, True, True), (False, True, True), None),
    ],
)
def test_a_rejected_reply_ends_its_conversation_for_every_arm(
    warm: tuple[bool, ...], cold: tuple[bool, ...], turns: int | None
) -> None:
    talk = _four()
    kept = kept_turns([talk], {"warm": _rows(talk, *warm), "cold": _rows(talk, *cold)})
    assert kept.get(0) == turns


def test_replies_are_replaced_and_questions_are_not() -> None:
    talk = _four()
    assert rewritten(talk, 4, _rows(talk, True, True, True)) == (
        ("user", "a"),
        ("assistant", "new 1"),
        ("user", "b"),
        ("assistant", "new 3"),
    )
    assert training_lines([(("user", "a"), ("assistant", "b"))]) == (
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'
    )


def test_equal_replies_after_different_questions_are_different_exchanges() -> None:
    keys = {place.key for talk in (_four(), _four("other")) for place in places([talk])}
    assert len(keys) == 6
