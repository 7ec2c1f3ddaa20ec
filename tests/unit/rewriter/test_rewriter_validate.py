"""Bad requests: every bad field at once, with the way to mend it."""

from __future__ import annotations

import pytest

from chassis.errors import CandorError, Reason
from services.rewriter.domain import styles, validate
from services.rewriter.domain.corrections import Item
from services.rewriter.domain.values import Conversation, EndpointSpec, Exchange, RulesSpec, Sampling, Style, Turn

GOOD = Exchange((Turn("user", "Why?"),), "Because.")
ENDPOINT = EndpointSpec(base_url="http://llm:8000/v1", model="m")
WARM = styles.builtin("warm")


def fields(error: CandorError) -> set[str]:
    return {violation.field for violation in error.violations}


def refused(
    style: Style | None, source: object, items: list[Exchange], cap: float | None, attempts: int
) -> CandorError:
    with pytest.raises(CandorError) as caught:
        validate.check_rewriting(style, source, items, cap, attempts)  # type: ignore[arg-type]
    return caught.value


def test_good_requests_pass() -> None:
    assert validate.check_rewriting(WARM, RulesSpec(), [GOOD] * 1024, None, 5) == (WARM, RulesSpec())
    priced = EndpointSpec(base_url="http://llm/v1", model="m", prompt_price=0.0, completion_price=1.0)
    assert validate.check_rewriting(WARM, priced, [GOOD], 0.1, 1)
    assert validate.check_style_and_source(styles.builtin("untransformed"), ENDPOINT)
    validate.check_file("", 20)


def test_every_bad_field_of_a_batch_is_named_at_once() -> None:
    bad = [
        Exchange((), "x"),
        Exchange((Turn("user", "q"), Turn("assistant", "a")), " "),
        Exchange((Turn("robot", "q"), Turn("system", "s"), Turn("user", "q")), "x" * 200_001),
    ]
    sampling = Sampling(temperature=3, max_tokens=0, top_p=2, omit=("stop",), max_tokens_field="limit")
    source = EndpointSpec(base_url="llm", model="", api_key_env="A", credential="b", sampling=sampling, prompt_price=-1)
    error = refused(None, source, bad, -1, 9)
    assert error.reason is Reason.INVALID_REQUEST
    assert fields(error) == {
        "exchanges[0].messages",
        "exchanges[1].messages",
        "exchanges[1].reply",
        "exchanges[2].messages[0].role",
        "exchanges[2].messages[1].role",
        "exchanges[2].reply",
        "attempts",
        "spend_cap",
        "style",
        "source.endpoint.endpoint.base_url",
        "source.endpoint.endpoint.model",
        "source.endpoint.endpoint",
        "source.endpoint.sampling.temperature",
        "source.endpoint.sampling.max_tokens",
        "source.endpoint.sampling.top_p",
        "source.endpoint.sampling.omit",
        "source.endpoint.sampling.max_tokens_field",
        "source.endpoint.prompt_per_million",
    }


@pytest.mark.parametrize(
    ("style", "source", "field"),
    [
        (styles.builtin("icy"), RulesSpec(), "style.builtin"),
        (Style(name="warm", openings=("x",)), RulesSpec(), "style.definition.name"),
        (Style(name="a b", openings=("x",)), RulesSpec(), "style.definition.name"),
        (Style(name="own", openings=("x",), direction="up"), RulesSpec(), "style.definition.direction"),
        (Style(name="own", instruction="x"), RulesSpec(), "style.definition"),
        (Style(name="own", openings=("x",)), ENDPOINT, "style.definition.instruction"),
        (Style(name="own", openings=(" ",)), RulesSpec(), "style.definition.openings[0]"),
        (Style(name="own", replacements={" ": "x"}), RulesSpec(), "style.definition.replacements"),
        (WARM, None, "source"),
    ],
)
def test_styles_and_sources_that_cannot_be_used(style: Style, source: object, field: str) -> None:
    assert field in fields(refused(style, source, [GOOD], None, 2))


def test_a_batch_above_the_limit_is_refused_and_not_cut() -> None:
    error = refused(WARM, RulesSpec(), [GOOD] * 1025, None, 2)
    assert (error.reason, error.metadata["limit"]) == (Reason.BATCH_TOO_LARGE, "1024")


def test_a_spend_cap_needs_prices() -> None:
    assert "prices" in str(refused(WARM, ENDPOINT, [GOOD], 1.0, 2))


def test_classification_files_chunks_and_corrections() -> None:
    conversation = Conversation("a", (Turn("user", "q"),))
    with pytest.raises(CandorError) as caught:
        validate.check_classifying([conversation, Conversation("b", ())], "nose", 1.5)
    assert fields(caught.value) == {"conversations[1].messages", "toxicity", "threshold"}
    with pytest.raises(CandorError) as caught:
        validate.check_file("parquet", 1)
    assert fields(caught.value) == {"info.format", "info.max_turns"}
    with pytest.raises(CandorError, match="1,048,576"):
        validate.check_chunk(b"x" * (2**20 + 1))
    with pytest.raises(CandorError) as caught:
        validate.check_corrections([Item("", "a", "A", "essay")])
    assert fields(caught.value) == {"items[0].question", "items[0].false_answer", "items[0].kind"}
    with pytest.raises(CandorError) as caught:
        validate.check_corrections([Item("q", "a", "b")] * 4097)
    assert caught.value.reason is Reason.BATCH_TOO_LARGE


def test_a_request_full_of_faults_gets_an_answer_that_fits() -> None:
    error = refused(None, None, [Exchange((), "")] * 1024, None, 0)
    assert len(error.violations) == 40
    assert "in all" in str(error)
