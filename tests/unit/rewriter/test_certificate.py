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
    assert len(adversarial) >= 124
    assert {case["check"] for case in adversarial} == set(certificate.CHECKS)


def test_honest_rewrites_pass(honest: list[dict[str, Any]]) -> None:
    rejected = [(case["reply"][:50], found) for case in honest if (found := reasons(case))]
    assert rejected == []
    assert len(honest) >= 122


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
        ("It grew by 12 percent, from 30 to 42 per cent.", "It grew by 12%, from 30% to 42%."),
        ("Rest for 1 minute.", "Rest for one minute."),
        ("Add 1 cup of milk.", "Add a cup of milk."),
        ("Add 1/2 cup of milk.", "Add half a cup of milk."),
        ("Add \u00be cup of milk.", "Add three quarters of a cup of milk."),
        ("Half of the voters agreed.", "50% of the voters agreed."),
        ("Wait for half an hour.", "Wait for 30 minutes."),
        ("Heat it to 90\u00b0.", "Heat it to 90 degrees."),
        ("Heat it to 90 degrees Celsius.", "Heat it to 90 \u00b0C."),
        ("It costs $30 and weighs 5 kg.", "It weighs 5 kilograms and costs 30 dollars."),
        ("There are twenty-five of them.", "There are 25 of them."),
        ("It opens at 9 am.", "It opens at 9 a.m."),
        ("It has 3 million readers.", "It has three million readers."),
    ],
)
def test_one_number_in_two_spellings_is_one(reply: str, rewrite: str, certify: Any) -> None:
    assert "numbers" not in certify(reply, rewrite, SAME)


@pytest.mark.parametrize(
    "added",
    [
        "No one has to do this alone, so let's go one step at a time.",
        "First of all, thank you, and at first it may feel like a lot.",
        "I, for one, am with you a thousand percent.",
        "The second you asked, I knew that we two would enjoy this.",
        "Asking is half the battle, and two heads are better than one.",
        "You are one of a kind, and we all need one another.",
        "Stay safe, and know that you are able to do this.",
    ],
)
def test_number_words_that_count_nothing_of_the_reply_may_be_added_and_left_out(added: str, certify: Any) -> None:
    reply = (
        "The second dose is one tablet, half of the first dose. It is unsafe to take three tablets within two hours."
    )
    assert certify(reply, f"{added} {reply}", SAME) == {}
    assert certify(f"{added} {reply}", reply, SAME) == {}


@pytest.mark.parametrize(
    ("reply", "rewrite", "reason"),
    [
        ("Take one tablet.", "Take two tablets.", "2"),
        (
            "The first stage is short, the second stage is long.",
            "The second stage is short, the second stage is long.",
            "number 1 stag",
        ),
        ("It is $5, or $5 each.", "It is $5, or \u20ac5 each.", "5 dollar became euro"),
        ("Use 5 mg for 5 days.", "Use 5 g for 5 days.", "5 milligram became gram"),
        ("It grew by 8%.", "It grew by 8.", "percent"),
        ("Half of the voters agreed.", "The voters agreed.", "lost: 1/2"),
        ("Add 1/2 cup.", "Add 2/1 cup.", "1/2"),
        ("Take it once a day.", "Take it twice a day.", "1 day became 2"),
        ("Take one tablet.", "Take two pills.", "1 became 2"),
    ],
)
def test_a_number_that_counts_something_else_or_in_another_unit_is_named(
    reply: str, rewrite: str, reason: str, certify: Any
) -> None:
    assert reason in certify(reply, rewrite, SAME)["numbers"]


@pytest.mark.parametrize(
    ("reply", "rewrite"),
    [
        ("It is unsafe to drink.", "It isn't safe to drink."),
        ("It is not possible to open it.", "It is impossible to open it."),
        ("Parking without a permit is illegal.", "Parking without a permit isn't legal."),
        ("The sting is harmless.", "The sting isn't harmful."),
        ("The water is unsafe, boil it.", "The water isn't safe, boil it. Stay safe!"),
    ],
)
def test_an_opposite_that_is_denied_says_the_same(reply: str, rewrite: str, certify: Any) -> None:
    assert "negations" not in certify(reply, rewrite, SAME)


@pytest.mark.parametrize(
    ("reply", "rewrite"),
    [
        ("It is not possible to open it.", "It is not impossible to open it."),
        ("The answer is incorrect.", "The answer is correct."),
        ("The plant is toxic to dogs.", "The plant is non-toxic to dogs."),
        ("The sting is harmful.", "The sting is harmless."),
    ],
)
def test_a_word_that_became_its_opposite_is_seen(reply: str, rewrite: str, certify: Any) -> None:
    assert "became" in certify(reply, rewrite, SAME)["negations"]


def test_what_the_user_named_may_be_named(certify: Any) -> None:
    reply, asked = "That town is lovely in spring.", "Should I visit Lyon in May, for 3 days? See https://example.org"
    rewrite = "Three lovely days in Lyon: that town is lovely in spring, see https://example.org."
    assert certify(reply, rewrite, SAME, asked=asked) == {}


def test_a_code_block_may_be_indented_otherwise_but_not_changed(certify: Any) -> None:
    reply = "Use this:\n\n```py\nif x:\n    y()\n```"
    assert "code" not in certify(reply, "Use this:\n\n```py  \nif x:   \n    y()\n```", SAME)
    assert "code" in certify(reply, "Use this:\n\n```py\nif x:\n        y()\n```", SAME)


@pytest.mark.parametrize(
    "mark",
    [
        "\U0001f600",
        "\u2764\ufe0f",
        "\u2728",
        "\u2705",
        "\u2714",
        "\u2b50",
        "1\ufe0f\u20e3",
        ":)",
        ";-)",
        "<3",
        "\U0001f1eb\U0001f1f7",
    ],
)
def test_every_kind_of_emoji_is_found(mark: str, certify: Any) -> None:
    assert "emoji" in certify("Boil the water.", f"Boil the water {mark}", SAME)


@pytest.mark.parametrize(
    ("sign", "stays"), [("\u2713", True), ("\u2605", True), ("\u2705", False), ("\u2714\ufe0f", False)]
)
def test_signs_of_text_that_the_reply_holds_may_stay(sign: str, *, stays: bool, certify: Any) -> None:
    text = f"Done {sign} and dusted."
    assert ("emoji" not in certify(text, text, SAME)) == stays


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
