"""What an endpoint's error answer becomes."""

import json

import pytest

from chassis.errors import Reason
from chassis.llm.refusals import classify, refused_parameter
from chassis.llm.values import Endpoint
from chassis.llm.wire import Answer

ENDPOINT = Endpoint("http://models.test:8000/v1", "support-bot", "sk-verysecret123")


def answer(status: int, message: str = "", *, headers: dict[str, str] | None = None, **error: str) -> Answer:
    body = json.dumps({"error": {"message": message, **error}}).encode()
    return Answer(status, headers or {}, body)


@pytest.mark.parametrize(
    ("given", "reason", "retry"),
    [
        (answer(401, "Incorrect API key provided"), Reason.ENDPOINT_UNAUTHENTICATED, False),
        (answer(403, "forbidden"), Reason.ENDPOINT_UNAUTHENTICATED, False),
        (answer(404, "The model `support-bot` does not exist"), Reason.MODEL_NOT_FOUND, False),
        (answer(400, "x", code="model_not_found"), Reason.MODEL_NOT_FOUND, False),
        (Answer(404, {}, b'{"detail": "Not Found"}'), Reason.ENDPOINT_REFUSED, False),
        (Answer(404, {}, b"<html>nginx</html>"), Reason.ENDPOINT_REFUSED, False),
        (answer(429, "slow down"), Reason.RATE_LIMITED, True),
        (answer(429, "You exceeded your quota", code="insufficient_quota"), Reason.RATE_LIMITED, False),
        (answer(500, "boom"), Reason.ENDPOINT_UNAVAILABLE, True),
        (Answer(503, {}, b"no upstream"), Reason.ENDPOINT_UNAVAILABLE, True),
        (answer(504, "upstream timed out"), Reason.ENDPOINT_TIMEOUT, True),
        (answer(408, "x"), Reason.ENDPOINT_TIMEOUT, True),
        (answer(400, "This model's maximum context length is 4096 tokens"), Reason.CONTEXT_TOO_LONG, False),
        (answer(400, "x", code="context_length_exceeded"), Reason.CONTEXT_TOO_LONG, False),
        (answer(413, "Payload"), Reason.CONTEXT_TOO_LONG, False),
        (answer(400, "messages must alternate"), Reason.ENDPOINT_REFUSED, False),
        (answer(422, "bad"), Reason.ENDPOINT_REFUSED, False),
        (Answer(400, {}, b"\xff\xfe not json"), Reason.ENDPOINT_REFUSED, False),
        (Answer(400, {}, b"[1, 2]"), Reason.ENDPOINT_REFUSED, False),
        (Answer(302, {"location": "http://evil.test/v1"}, b""), Reason.ENDPOINT_REFUSED, False),
    ],
)
def test_each_answer_has_its_reason(given: Answer, reason: Reason, retry: bool) -> None:
    refusal = classify(given, ENDPOINT)
    assert (refusal.error.reason, refusal.retry) == (reason, retry)
    assert refusal.error.metadata["host"] == "models.test:8000"


def test_only_answers_that_ask_for_patience_slow_everyone_down() -> None:
    slow = classify(answer(429, "x", headers={"retry-after": "12"}), ENDPOINT)
    assert slow.overload
    assert slow.wait_seconds == 12
    assert not classify(answer(400, "x"), ENDPOINT).overload


def test_a_redirect_names_where_it_leads_and_is_not_followed() -> None:
    message = classify(Answer(307, {"location": "https://elsewhere.test/v1"}, b""), ENDPOINT).error.message
    assert "elsewhere.test" in message
    assert "base_url" in message


def test_the_endpoints_words_are_quoted_without_escapes_secrets_or_length() -> None:
    words = "bad \x1b[31mred\x1b[0m\nline\x00 key sk-verysecret123 and Bearer abc.def " + "x" * 5000
    message = classify(answer(400, words), ENDPOINT).error.message
    assert "bad red line key [secret] and [secret]" in message
    assert message.isprintable()
    assert len(message) < 400


def test_a_missing_key_is_told_from_a_refused_one() -> None:
    keyless = Endpoint("http://models.test/v1", "m")
    assert "api_key_env or credential" in classify(answer(401, "no"), keyless).error.message
    assert "refused the key" in classify(answer(401, "no"), ENDPOINT).error.message


@pytest.mark.parametrize(
    ("words", "parameter", "name"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens", "max_tokens"),
        (
            "Unsupported value: 'temperature' does not support 0.8; only the default (1) is supported.",
            "",
            "temperature",
        ),
        ("Unrecognized request argument supplied: seed", "", "seed"),
        ("body.top_p: Extra inputs are not permitted", "top_p", "top_p"),
        ("property 'max_completion_tokens' is not allowed", "", "max_tokens"),
        ("the temperature of the sun is high", "", ""),
        ("messages must alternate", "messages", ""),
    ],
)
def test_the_refused_parameter_is_found(words: str, parameter: str, name: str) -> None:
    assert refused_parameter(words, parameter) == name


def test_a_validation_list_names_its_parameter() -> None:
    body = json.dumps({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}).encode()
    assert classify(Answer(422, {}, body), ENDPOINT).error.metadata["parameter"] == "seed"


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        ("max_tokens is too large: 32000. This model supports at most 16384 completion tokens.", "max_tokens"),
        ("Invalid 'max_tokens': integer above maximum value. Expected a value <= 16384, but got 32000.", "max_tokens"),
        ("max_completion_tokens is too large: 32000. This model supports at most 16384.", "max_tokens"),
        ("Invalid value for max_tokens", "max_tokens"),
        (
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 1, but got 1.5 instead.",
            "temperature",
        ),
        ("Input should be less than or equal to 1", "temperature"),
        ("This model does not support a temperature above 1.", "temperature"),
        ("top_p must be between 0 and 1; 1.5 is not valid", "top_p"),
        ("Invalid 'seed': integer above maximum", "seed"),
    ],
)
def test_a_refused_value_is_named_and_its_parameter_is_still_sent(message: str, parameter: str) -> None:
    error = classify(answer(400, message, param=parameter), ENDPOINT).error
    assert error.reason is Reason.ENDPOINT_REFUSED
    assert "parameter" not in error.metadata
    assert f"the value of {parameter}" in error.message


@pytest.mark.parametrize(
    ("message", "parameter"),
    [
        ("For this model temperature is not supported.", "temperature"),
        ("This model's parameter 'seed' is not supported", "seed"),
        ("Invalid value: model o3 with max_tokens not supported, use max_completion_tokens", "max_tokens"),
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", "max_tokens"),
    ],
)
@pytest.mark.parametrize("given", [True, False])
def test_a_refused_parameter_of_a_model_is_no_missing_model(message: str, parameter: str, given: bool) -> None:
    error = classify(answer(400, message, **({"param": parameter} if given else {})), ENDPOINT).error
    assert (error.reason, error.metadata["parameter"]) == (Reason.ENDPOINT_REFUSED, parameter)


@pytest.mark.parametrize("message", ["The model acme-seed-2 is not available", "model 'seed-oss' not supported"])
def test_a_missing_model_with_a_parameters_word_in_its_name_is_missing(message: str) -> None:
    assert classify(answer(400, message), ENDPOINT).error.reason is Reason.MODEL_NOT_FOUND
