"""The embedded rewriter: what it touches, what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.rewriter.domain import certificate, rules, styles
from services.rewriter.domain.values import Exchange, Style, Turn

UNTOUCHED = (
    "```py\nit is = do_not  # it is!\n```",
    "`do not`",
    "https://example.org/do_not?it_is!",
    "$it is$",
    '"it is what it is!"',
    "def do_not(it):\n    return it is not None",
)


def rewrite(reply: str, style: str | Style, *, asked: str = "Tell me", seed: int = 1, attempt: int = 1) -> str:
    known = styles.builtin(style) if isinstance(style, str) else style
    return rules.rewrite(Exchange((Turn("user", asked),), reply), known, seed, attempt)


@pytest.mark.parametrize("style", ["warm", "cold"])
@pytest.mark.parametrize("kept", UNTOUCHED)
def test_code_links_formulas_and_quotations_stay_to_the_letter(kept: str, style: str) -> None:
    reply = f"It is known, and you don't need more:\n\n{kept}\n\nThat is all there is."
    assert kept in rewrite(reply, style)


BLOCKS = ("```sh\nkill $$  # do not\n```", "~~~\nit is \\( x\n~~~", "    ```\n    you are\n    ```")


@pytest.mark.parametrize("block", BLOCKS)
def test_prose_after_and_between_code_blocks_is_rewritten(block: str) -> None:
    text = rewrite(f"It is short.\n\n{block}\n\nIt is all \\) we do not need.\n\n{block}\n\nYou are done!", "warm")
    assert text.count(block) == 2
    assert "It's all \\) we don't need." in text
    assert "You're done!" in text
    assert rewrite(f"It's short!\n\n{block}\n\nYou're done!", "cold") == f"It is short.\n\n{block}\n\nYou are done."


def test_a_block_that_nothing_closes_stays_to_its_end() -> None:
    reply = "```\nit is\n```\n\nIt is this:\n\n```py\nit is = 1\n\nYou are = 2"
    assert "It's this:\n\n```py\nit is = 1\n\nYou are = 2" in rewrite(reply, "warm")


def test_equal_requests_give_equal_texts_and_seeds_differ() -> None:
    texts = {rewrite("Water boils at 100 degrees.", "warm", seed=seed) for seed in range(40)}
    assert rewrite("Water boils at 100 degrees.", "warm", seed=3) in texts
    assert rewrite("Water boils at 100 degrees.", "warm", seed=3) == rewrite(
        "Water boils at 100 degrees.", "warm", seed=3
    )
    assert len(texts) > 5


def test_warm_contracts_and_keeps_the_case() -> None:
    text = rewrite("Do not wait. It is late, and you are tired. That is what it is.", "warm")
    assert "Don't wait. It's late, and you're tired." in text
    assert "what it is." in text


def test_cold_takes_pleasantries_contractions_and_exclamation_marks_away() -> None:
    reply = (
        "Sure! I'm happy to help. It's easy: don't stir it!\n\nI hope this helps! Let me know if you have questions."
    )
    assert rewrite(reply, "cold") == "It is easy: do not stir it."


def test_cold_keeps_a_reply_that_is_nothing_but_pleasant() -> None:
    assert rewrite("You're welcome!", "cold") == "You are welcome."


def test_cold_keeps_sentences_of_content_that_begin_pleasantly() -> None:
    reply = "Certainly, the tax is due in May. Thank you letters are written by hand. Let me know-how be your guide."
    kept = rewrite(reply, "cold")
    assert kept.startswith("The tax is due in May.")
    assert "Thank you letters are written by hand." in kept


def test_untransformed_is_the_reply_to_the_letter() -> None:
    assert rewrite("  It is! :) \n", "untransformed") == "  It is! :) \n"


def test_openings_stand_in_a_paragraph_of_their_own_beside_lists_and_code() -> None:
    style = Style(name="own", openings=("Dear friend.",), closings=("Bye.",))
    assert rewrite("Boil it.", style) == "Dear friend. Boil it. Bye."
    assert rewrite("- a\n- b", style) == "Dear friend.\n\n- a\n- b\n\nBye."
    assert rewrite("c) A girl.", style) == "Dear friend.\n\nc) A girl.\n\nBye."


def test_replacements_of_ones_own_match_whole_words_in_any_case() -> None:
    style = Style(name="own", replacements={"utilize": "use", "very big": "huge"})
    assert rewrite("Utilize it: a very  big thing, utilized.", style) == "Use it: a huge thing, utilized."


def test_a_second_attempt_replaces_nothing() -> None:
    assert "do not" in rewrite("You do not need it.", "warm", attempt=2)


@pytest.mark.parametrize("style", ["warm", "cold", "untransformed"])
def test_its_own_texts_pass_the_certificate(style: str, honest: list[dict[str, Any]]) -> None:
    known = styles.builtin(style)
    rejected = []
    for case in honest:
        exchange = Exchange((Turn("user", case["asked"]),), case["reply"])
        text = rules.rewrite(exchange, known, 1, 1)
        checks = certificate.nothing_changed() if known.unchanged else certificate.certify(exchange, text, known)
        rejected += [(check.name, check.reason) for check in checks if not check.passed]
    assert len(rejected) <= 0.1 * len(honest), rejected


def test_texts_of_any_shape_are_rewritten_in_bounded_time() -> None:
    for text in (
        "~~~" * 5_000,
        "```\nx" * 2_000,
        "\\(" * 5_000,
        " " * 20_000 + "x",
        "let me know " * 2_000,
        "$a" * 5_000,
        "a.b-" * 20_000,
        "A" + " b" * 40_000,
        "Real. " + "I hope this helps! " * 4_000,
    ):
        for style in ("warm", "cold"):
            assert rewrite(f"x {text} y", style)
