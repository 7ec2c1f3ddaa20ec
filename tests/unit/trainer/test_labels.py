"""Labels of tokens, one character a token here."""

from __future__ import annotations

from services.trainer.domain.labels import UNTRAINED, label
from services.trainer.domain.spans import Rendered, Span

TEXT = "u:hi\na:yes\nu:so\na:no\nu:?"
RENDERED = Rendered(TEXT, (Span(7, 10, 11), Span(18, 20, 21)))
IDS = [ord(letter) for letter in TEXT]
OFFSETS = [(place, place + 1) for place in range(len(TEXT))]


def trained(example: object) -> str:
    return "".join(chr(value) for value in example.labels if value != UNTRAINED)  # type: ignore[attr-defined]


def test_replies_and_their_ends_are_trained_and_what_follows_the_last_is_left_out() -> None:
    example = label(RENDERED, IDS, OFFSETS, 1000)
    assert trained(example) == "yes\nno\n"
    assert example.trained == 7
    assert "".join(map(chr, example.ids)) == TEXT[:21]
    assert (example.closes, example.cut, example.straddles) == (True, False, False)


def test_a_cut_inside_a_reply_trains_its_beginning_but_no_end() -> None:
    example = label(RENDERED, IDS, OFFSETS, 9)
    assert trained(example) == "ye"
    assert (example.cut, example.closes, example.tokens) == (True, False, len(TEXT))


def test_a_cut_before_the_first_reply_leaves_nothing() -> None:
    example = label(RENDERED, IDS, OFFSETS, 6)
    assert (example.ids, example.trained) == ((), 0)


def test_a_token_that_reaches_into_a_reply_is_trained_and_told() -> None:
    # "a:" and "y" are one token here
    offsets = [*OFFSETS[:5], (5, 8), *OFFSETS[8:]]
    example = label(RENDERED, IDS[: len(offsets)], offsets, 1000)
    assert example.straddles


def test_tokens_without_characters_are_not_trained() -> None:
    example = label(RENDERED, [1, *IDS], [(0, 0), *OFFSETS], 1000)
    assert trained(example) == "yes\nno\n"
