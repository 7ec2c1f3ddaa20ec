"""The draw: balanced, seeded, and blind."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.ratings.draw import Candidate, draw


def pool(items: int = 30, contexts: tuple[str, ...] = ("none", "emotion:sad"), **more: Any) -> list[Candidate]:
    """Both arms' replies to every item in every context; the texts differ."""
    keys = [(f"q{k:02d}", context, arm) for k in range(items) for context in contexts for arm in ("original", "warm")]
    return [
        Candidate(
            **{
                "row": row,
                "arm": arm,
                "task": "trivia" if int(item[1:]) % 2 else "medicine",
                "item": item,
                "context": context,
                "belief": "none",
                "repeat": 0,
                "fingerprint": f"{arm}{item}".encode(),
                "decided_by": "deterministic",
                "answerable": True,
                **more,
            }
        )
        for row, (item, context, arm) in enumerate(keys)
    ]


def test_half_of_the_pairs_show_the_treated_reply_first() -> None:
    for seed in range(5):
        found = draw(pool(), "warm", "original", pairs=31, answers=0, seed=seed)
        assert len(found.pairs) == 31
        assert sum(pair.a.arm == "warm" for pair in found.pairs) in (15, 16)
        for pair in found.pairs:
            assert pair.a.key == pair.b.key
            assert {pair.a.arm, pair.b.arm} == {"warm", "original"}


def test_the_order_in_the_file_tells_nothing_of_the_order_in_the_pair() -> None:
    firsts = [
        [pair.a.arm == "warm" for pair in draw(pool(), "warm", "original", pairs=20, answers=0, seed=seed).pairs]
        for seed in range(40)
    ]
    # At each place of the file the treated reply is first about half of the time.
    by_place = [sum(column) for column in zip(*firsts, strict=True)]
    assert all(5 <= count <= 35 for count in by_place)


def test_tasks_and_contexts_have_their_shares_and_items_come_once_first() -> None:
    found = draw(pool(), "warm", "original", pairs=20, answers=24, seed=3)
    assert set(Counter(pair.a.cell for pair in found.pairs).values()) == {5}
    assert len({pair.a.item for pair in found.pairs}) == 20
    assert Counter(one.arm for one in found.answers) == {"warm": 12, "original": 12}
    assert set(Counter((one.arm, one.cell) for one in found.answers).values()) == {3}


def test_the_same_seed_draws_the_same_whatever_the_order_of_the_table() -> None:
    replies = pool()
    one, two = (draw(part, "warm", "original", pairs=12, answers=12, seed=7) for part in (replies, replies[::-1]))
    assert one == two
    assert one != draw(replies, "warm", "original", pairs=12, answers=12, seed=8)


def test_a_larger_draw_holds_a_smaller_one_sides_included() -> None:
    small, large = (draw(pool(), "warm", "original", pairs=n, answers=n, seed=7) for n in (10, 30))
    assert set(small.pairs) < set(large.pairs)
    assert set(small.answers) < set(large.answers)


def test_a_reply_without_a_right_answer_is_not_labelled_but_may_be_a_pair() -> None:
    replies = [reply._replace(answerable=reply.item >= "q05") for reply in pool()]
    found = draw(replies, "warm", "original", pairs=1000, answers=1000, seed=1)
    assert {one.item for one in found.answers} == {f"q{k:02d}" for k in range(5, 30)}
    assert len(found.pairs) == 60


def test_equal_texts_are_no_pair() -> None:
    replies = [reply._replace(fingerprint=b"same") if reply.item < "q10" else reply for reply in pool()]
    found = draw(replies, "warm", "original", pairs=1000, answers=0, seed=1)
    assert found.alike == 20
    assert len(found.pairs) == 40
    assert {pair.a.item for pair in found.pairs}.isdisjoint({f"q{k:02d}" for k in range(10)})


def test_where_a_judge_decided_only_its_replies_are_labelled() -> None:
    replies = [reply._replace(decided_by="judge") if reply.item < "q06" else reply for reply in pool()]
    found = draw(replies, "warm", "original", pairs=0, answers=10, seed=1)
    assert found.only_judged
    assert {one.item for one in found.answers} <= {f"q{k:02d}" for k in range(6)}
    assert not draw(pool(), "warm", "original", pairs=0, answers=10, seed=1).only_judged


def test_other_arms_and_lonely_replies_are_not_shown() -> None:
    replies = [reply for reply in pool() if reply.arm == "warm" or reply.item != "q00"]
    replies += [reply._replace(arm="cold") for reply in pool()]
    found = draw(replies, "warm", "original", pairs=1000, answers=1000, seed=1)
    assert "q00" not in {pair.a.item for pair in found.pairs}
    assert {one.arm for one in found.answers} == {"warm", "original"}


@settings(max_examples=25)
@given(st.integers(0, 8), st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**31))
def test_never_more_than_asked_nor_anything_twice(items: int, pairs: int, answers: int, seed: int) -> None:
    found = draw(pool(items), "warm", "original", pairs=pairs, answers=answers, seed=seed)
    assert len(found.pairs) == min(pairs, 2 * items)
    assert len(found.answers) == min(answers // 2, 2 * items) + min((answers + 1) // 2, 2 * items)
    assert len({pair.a.key for pair in found.pairs}) == len(found.pairs)
    assert len({one.row for one in found.answers}) == len(found.answers)


@pytest.mark.parametrize("arm", ["warm", "original"])
def test_an_absent_arm_draws_nothing(arm: str) -> None:
    found = draw([r for r in pool() if r.arm == arm], "warm", "original", pairs=5, answers=0, seed=1)
    assert found.pairs == ()
