"""One question finds out which parameters an endpoint takes."""

from typing import Any

import pytest

from chassis.errors import CandorError, Reason
from chassis.llm.probing import probe
from chassis.llm.values import Completion, Sampling


class Endpoint:
    """Refuses what it is told to refuse."""

    def __init__(self, refuses: tuple[str, ...] = (), fails: CandorError | None = None) -> None:
        self.refuses = set(refuses)
        self.fails = fails
        self.asked: list[dict[str, Any]] = []

    async def chat(self, _messages: object, **sampling: Any) -> Completion:
        self.asked.append(sampling)
        sent = {name for name in ("temperature", "top_p", "seed") if name not in sampling["omit"]}
        if "max_tokens" not in sampling["omit"]:
            sent.add(sampling["max_tokens_field"])
        for name in sorted(sent & self.refuses):
            parameter = "max_tokens" if name.startswith("max_") else name
            metadata = {"parameter": parameter}
            if name == "max_tokens" and "max_completion_tokens" not in self.refuses:
                metadata["instead"] = "max_completion_tokens"
            raise CandorError(Reason.ENDPOINT_REFUSED, f"{name} is not supported", metadata=metadata)
        if self.fails:
            raise self.fails
        return Completion(text="ready", reported_model="m-1")


async def test_an_endpoint_that_takes_everything_is_asked_once() -> None:
    endpoint = Endpoint()
    found = await probe(endpoint.chat, Sampling(seed=1))
    assert (found.sampling, found.notes, found.reported_model) == (Sampling(seed=1), (), "m-1")
    assert len(endpoint.asked) == 1


async def test_refused_parameters_are_left_out_and_noted() -> None:
    endpoint = Endpoint(("temperature", "seed"))
    found = await probe(endpoint.chat, Sampling(seed=1))
    assert set(found.sampling.omit) == {"temperature", "seed"}
    assert any("temperature is not supported" in note for note in found.notes)
    assert len(found.notes) == 2


async def test_the_token_limit_takes_its_other_name() -> None:
    found = await probe(Endpoint(("max_tokens",)).chat, Sampling())
    assert found.sampling.max_tokens_field == "max_completion_tokens"
    assert found.sampling.omit == ()


async def test_an_older_endpoint_takes_the_older_name() -> None:
    found = await probe(Endpoint(("max_completion_tokens",)).chat, Sampling(max_tokens_field="max_completion_tokens"))
    assert found.sampling.max_tokens_field == "max_tokens"


async def test_an_endpoint_without_any_token_limit_is_sent_none() -> None:
    found = await probe(Endpoint(("max_tokens", "max_completion_tokens")).chat, Sampling())
    assert found.sampling.omit == ("max_tokens",)


async def test_an_empty_reply_to_the_probe_is_a_note() -> None:
    error = CandorError(Reason.EMPTY_REPLY, "no text", metadata={"reported_model": "m-2"})
    found = await probe(Endpoint(fails=error).chat, Sampling())
    assert found.reported_model == "m-2"
    assert "no text" in found.notes[0]


@pytest.mark.parametrize("reason", [Reason.ENDPOINT_UNAUTHENTICATED, Reason.MODEL_NOT_FOUND, Reason.OUTPUT_BUDGET])
async def test_what_no_sampling_can_mend_is_raised(reason: Reason) -> None:
    with pytest.raises(CandorError) as caught:
        await probe(Endpoint(fails=CandorError(reason, "no")).chat, Sampling())
    assert caught.value.reason is reason


async def test_an_endpoint_that_always_finds_something_is_given_up() -> None:
    class Stubborn(Endpoint):
        async def chat(self, _messages: object, **sampling: Any) -> Completion:
            raise CandorError(Reason.ENDPOINT_REFUSED, "no", metadata={"parameter": "seed"})

    with pytest.raises(CandorError) as caught:
        await probe(Stubborn().chat, Sampling())
    assert caught.value.reason is Reason.ENDPOINT_REFUSED
