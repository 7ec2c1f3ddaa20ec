"""Bad requests name every bad field at once."""

import math
from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from services.inference.domain.model import Checkpoint, Endpoint, ModelSpec, Prompt, Sampling, SystemPrompt
from services.inference.domain.validate import check

SPEC = ModelSpec(source=Endpoint(base_url="http://a:8000/v1", model="m"))
PROMPT = Prompt(messages=(("user", "hi"),))


def fields(spec: ModelSpec = SPEC, **parts: Any) -> list[str]:
    with pytest.raises(CandorError) as caught:
        check(spec, **parts)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return [violation.field for violation in caught.value.violations]


def test_a_good_request_passes() -> None:
    check(SPEC, Sampling(), [PROMPT])
    check(ModelSpec(source=Checkpoint(path="x"), system_prompt=SystemPrompt(kind="builtin", value="warm")))


def test_every_bad_field_is_named_at_once() -> None:
    spec = ModelSpec(
        source=Endpoint(base_url="ftp://x", model="", api_key_env="A", credential="b"),
        system_prompt=SystemPrompt(kind="file", value="warm.txt"),
    )
    sampling = Sampling(temperature=math.nan, max_tokens=0, top_p=0.0, omit=("stop",), max_tokens_field="n_predict")
    prompts = [PROMPT, Prompt(messages=()), Prompt(messages=(("tool", "x"), ("user", "")))]
    assert fields(spec, sampling=sampling, prompts=prompts) == [
        "model.endpoint.base_url",
        "model.endpoint.model",
        "model.endpoint",
        "model.system_prompt.file",
        "sampling.temperature",
        "sampling.max_tokens",
        "sampling.top_p",
        "sampling.omit[0]",
        "sampling.max_tokens_field",
        "prompts[1].messages",
        "prompts[2].messages[0].role",
        "prompts[2].messages[1].content",
    ]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (ModelSpec(source=None), "model.source"),
        (ModelSpec(source=Checkpoint(path="")), "model.checkpoint.path"),
        (ModelSpec(source=Endpoint(base_url="", model="m")), "model.endpoint.base_url"),
        (ModelSpec(source=Endpoint(base_url="http://u:p@a/v1", model="m")), "model.endpoint.base_url"),
        (ModelSpec(source=Endpoint(base_url="http://[::1", model="m")), "model.endpoint.base_url"),
        (ModelSpec(source=Endpoint(base_url="http://a/v1?key=x", model="m")), "model.endpoint.base_url"),
        (ModelSpec(source=SPEC.source, system_prompt=SystemPrompt(kind="", value="")), "model.system_prompt"),
        (ModelSpec(source=SPEC.source, system_prompt=SystemPrompt(kind="text", value=" ")), "model.system_prompt"),
        (
            ModelSpec(source=SPEC.source, system_prompt=SystemPrompt(kind="builtin", value="hot")),
            "model.system_prompt.builtin",
        ),
        (
            ModelSpec(source=SPEC.source, system_prompt=SystemPrompt(kind="text", value="x" * 32_769)),
            "model.system_prompt.text",
        ),
    ],
)
def test_each_part_of_a_model_is_checked(spec: ModelSpec, field: str) -> None:
    assert fields(spec) == [field]


def test_an_empty_batch_is_named_and_an_oversized_one_refused_whole() -> None:
    assert fields(prompts=[]) == ["prompts"]
    check(SPEC, Sampling(), [PROMPT] * 1024)
    with pytest.raises(CandorError, match="1024") as caught:
        check(SPEC, Sampling(), [PROMPT] * 1025)
    assert caught.value.reason is Reason.BATCH_TOO_LARGE


def test_a_long_list_of_problems_is_capped_and_counted() -> None:
    with pytest.raises(CandorError, match="100, of which 20") as caught:
        check(SPEC, Sampling(), [Prompt(messages=())] * 100)
    assert len(caught.value.violations) == 20
