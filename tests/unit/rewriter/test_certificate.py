"""The certificate against rewrites labelled by hand: what tampers with content is named, honest rewrites pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rewriter.domain import certificate, styles
from services.rewriter.domain.values import Exchange, Style, Turn

SAME = Style(name="own", instruction="x")


def reasons(case: dict[str, Any]) -> dict[str, str]:
    exchange = Exchange((Turn("user", case["asked"]),), case["reply"])
    checks = certificate.certify(exchange, case["rewrite"], styles.builtin(case["style"]))
    return {check.name: check.reason for check in checks if not check.passed}


def test_every_tampering_is_named_by_the_check_that_is_there_for_it(adversarial: list[dict[str, Any]]) -> None:
    missed = [
        (case["check"], case["what"], found) for case in adversarial if case["check"] not in (found := reasons(case))
    ]
    assert missed == []
    assert len(adversarial) >= 82
    assert {case["check"] for case in adversarial} == set(certificate.CHECKS)


def test_honest_rewrites_pass(honest: list[dict[str, Any]]) -> None:
    rejected = [(case["reply"][:50], found) for case in honest if (found := reasons(case))]
    assert rejected == []
    assert len(honest) >= 82


def test_a_digit_changed_anywhere_in_an_honest_rewrite_is_seen(honest: list[dict[str, Any]]) -> None:
    changed = missed = 0
    for case in honest:
        for place, char in enumerate(case["rewrite"]):
            if char.isdigit() and case["style"] == "warm":
                other = str((int(char) + 3) % 10)
                tampered = {**case, "rewrite": case["rewrite"][:place] + other + case["rewrite"][place + 1 :]}
                changed += 1
                missed += not ({"numbers", "code", "links", "equations", "formatting"} & set(reasons(tampered)))
    assert changed > 100
    assert missed <= 1


def test_a_not_dropped_from_an_honest_rewrite_is_seen(honest: list[dict[str, Any]]) -> None:
    dropped = seen = 0
    for case in honest:
        denied = case["reply"].lower()
        for word in (" not ", "n't ", " never ", " no "):
            if word in case["rewrite"] and any(
                denial in denied for denial in (" not ", "n't ", "cannot", " no ", " never ")
            ):
                tampered = {**case, "rewrite": case["rewrite"].replace(word, " ", 1)}
                dropped += 1
                seen += "negations" in reasons(tampered)
    assert dropped >= 30
    # What is left are idioms and sentences that deny twice.
    assert seen / dropped >= 0.8


@pytest.mark.parametrize(
    ("reply", "rewrite"),
    [
        ("It costs 1,200 dollars.", "It costs 1200 dollars."),
        ("There are three of them.", "There are 3 of them."),
        ("Both ways work.", "Either way works."),
        ("It is the 5th of May.", "It is May 5."),
        ("It grew by 12 %.", "It grew by 12%."),
        ("It weighs 2.50 kg.", "It weighs 2.5 kg."),
        ("Sort 5 apples, then 5 pears.", "Sort 5 apples and pears."),
    ],
)
def test_one_number_in_two_spellings_is_one(reply: str, rewrite: str, certify: Any) -> None:
    assert "numbers" not in certify(reply, rewrite, SAME)


def test_what_the_user_named_may_be_named(certify: Any) -> None:
    reply, asked = "That town is lovely in spring.", "Should I visit Lyon in May, for 3 days? See https://example.org"
    rewrite = "Three lovely days in Lyon: that town is lovely in spring, see https://example.org."
    assert certify(reply, rewrite, SAME, asked=asked) == {}


def test_a_code_block_may_be_indented_otherwise_but_not_changed(certify: Any) -> None:
    reply = "Use this:\n\n```py\nif x:\n    y()\n```"
    assert "code" not in certify(reply, "Use this:\n\n```py  \nif x:   \n    y()\n```", SAME)
    assert "code" in certify(reply, "Use this:\n\n```py\nif x:\n        y()\n```", SAME)


@pytest.mark.parametrize("mark", ["\U0001f600", "\u2764\ufe0f", "\u2728", ":)", ";-)", "<3", "\U0001f1eb\U0001f1f7"])
def test_every_kind_of_emoji_is_found(mark: str, certify: Any) -> None:
    assert "emoji" in certify("Boil the water.", f"Boil the water {mark}", SAME)


@pytest.mark.parametrize(
    "text", ["Use the ratio 3:4 (see 8).", "const f = a[:]; (x < 3)", "It is 10:30 (AM).", "a <30 b"]
)
def test_notation_is_no_emoji(text: str, certify: Any) -> None:
    assert "emoji" not in certify(text, text, SAME)


def test_a_refusal_that_goes_on_refusing_passes(certify: Any) -> None:
    reply = "I'm sorry, but I can't help with picking locks. Please call a locksmith."
    assert (
        certify(reply, "I care about you, my friend, but I can't help with picking locks. Please call a locksmith.")
        == {}
    )


def test_a_rewrite_cut_off_by_the_token_limit_says_what_to_raise(certify: Any) -> None:
    found = certify("Boil the water, add tea.", "I'm glad to help, my friend: boil the water, add tea", cut=True)
    assert "sampling.max_tokens" in found["length"]
    assert "sampling.max_tokens" in certify("Boil the water.", "", cut=True)["task"]


def test_an_empty_rewrite_has_one_reason(certify: Any) -> None:
    assert certify("Boil the water.", " \n") == {"task": "the rewrite is empty"}


def test_a_neutral_reply_may_stay_as_it_is_when_cold_is_asked_for(certify: Any) -> None:
    text = "The boiling point of water at sea level is 100 degrees Celsius."
    assert certify(text, text, "cold") == {}
    assert set(certify(text, text, "warm")) == {"style"}


def test_a_style_of_ones_own_without_direction_expects_no_shift(certify: Any) -> None:
    text = "The boiling point of water at sea level is 100 degrees Celsius."
    assert certify(text, text, SAME) == {}


def test_texts_of_any_shape_are_certified_in_bounded_time(certify: Any) -> None:
    for text in (
        "word. " * 5_000,
        "not 1 " * 5_000,
        "`" * 5_000,
        '"' * 5_000 + "x",
        "a = b " * 2_000,
        "> \n" * 5_000,
        "a.b-" * 20_000,
        "1." * 20_000,
        "Ab: " * 10_000,
        "A" + " b" * 20_000,
        "\\(" * 10_000,
        " ".join(f"`a{n}`" for n in range(5_000)),
        " ".join(f"www.a{n}.org" for n in range(5_000)),
    ):
        certify(text, text, SAME)


@pytest.mark.parametrize("address", ["a.b+c@mail.example.org", "x-1@example.co.uk"])
def test_a_changed_mail_address_is_seen(address: str, certify: Any) -> None:
    reply = f"Write to us ({address}), or to root@example.org."
    assert "links" not in certify(reply, reply, SAME)
    assert "links" in certify(reply, reply.replace(address, "b" + address), SAME)


def test_a_list_numbered_otherwise_is_seen(certify: Any) -> None:
    assert "formatting" in certify("1. Wash\n2. Dry", "1. Wash\n3. Dry", SAME)


def test_a_pleasantry_may_go_with_the_denial_and_the_name_in_it(certify: Any) -> None:
    reply = "You'll love Lisbon! Automate a transfer of 10% to your account, so you won't even miss it."
    assert certify(reply, "Automate a transfer of 10% to the account.", SAME, asked="Saving in Lisbon?") == {}


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("ab I.,!?'\"\n1-=$`*_:()[]<>\u201c\u201d not may"), min_size=1, max_size=120)
)
def test_a_text_is_an_honest_rewrite_of_itself(text: str) -> None:
    exchange = Exchange((Turn("user", "Why?"),), text)
    failed = {check.name for check in certificate.certify(exchange, text, SAME) if not check.passed}
    assert failed <= ({"task"} if not text.strip() else set())


def test_the_version_names_code_and_lists() -> None:
    assert certificate.version().startswith("sha256:")
    assert all(check.passed for check in certificate.nothing_changed())
