"""What a subject's digest stands for."""

from dataclasses import replace

import pytest

from chassis.urls import normal_url
from services.inference.domain.identity import of_checkpoint, of_endpoint
from services.inference.domain.model import Endpoint, Prompt, conversation

ENDPOINT = Endpoint(base_url="http://a:8000/v1", model="m")


def test_an_endpoint_is_verifiable_only_with_a_revision() -> None:
    assert not of_endpoint(ENDPOINT, "", "").verifiable
    assert of_endpoint(ENDPOINT, "2026-11-23", "").verifiable
    assert of_checkpoint({"weights": "sha256:1"}, "", "").verifiable


def test_everything_that_shapes_replies_shapes_the_digest_and_keys_do_not() -> None:
    digests = {
        of_endpoint(ENDPOINT, "", "").digest,
        of_endpoint(replace(ENDPOINT, model="n"), "", "").digest,
        of_endpoint(replace(ENDPOINT, base_url="http://b:8000/v1"), "", "").digest,
        of_endpoint(ENDPOINT, "r1", "").digest,
        of_endpoint(ENDPOINT, "", "Be kind.").digest,
        of_checkpoint({"weights": "sha256:1"}, "", "").digest,
        of_checkpoint({"weights": "sha256:2"}, "", "").digest,
    }
    assert len(digests) == 7
    keyed = replace(ENDPOINT, credential="judge", base_url="http://A:8000/v1/")
    assert of_endpoint(keyed, "", "") == of_endpoint(ENDPOINT, "", "")


def test_components_name_what_is_in_the_digest_without_the_prompts_text() -> None:
    found = of_endpoint(ENDPOINT, "r1", "Be kind.").components
    assert set(found) == {"url", "model", "revision", "system_prompt"}
    assert "kind" not in found["system_prompt"]


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Host.Example:80/v1/", "http://host.example/v1"),
        ("https://a:443/v1", "https://a/v1"),
        ("https://a:8443/v1//", "https://a:8443/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_one_url_has_one_spelling(url: str, normal: str) -> None:
    assert normal_url(url) == normal


def test_the_system_prompt_comes_first_and_takes_in_the_prompts_own() -> None:
    plain = Prompt(messages=(("user", "hi"),))
    own = Prompt(messages=(("system", "Answer in French."), ("user", "hi")))
    assert conversation(plain, "") == plain.messages
    assert conversation(plain, "Be kind.") == (("system", "Be kind."), ("user", "hi"))
    assert conversation(own, "Be kind.") == (("system", "Be kind.\n\nAnswer in French."), ("user", "hi"))
