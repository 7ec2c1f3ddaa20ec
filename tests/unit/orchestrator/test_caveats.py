"""What a report says beside its verdict, so that nobody trusts it for the wrong reason."""

from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.inference_routed import RoutedInference
from services.orchestrator.domain.spec import Arm, Checkpoint, Endpoint, Sampling
from services.orchestrator.ports import Reply

Document = Callable[..., evaluation_pb2.EvaluationSpec]


async def test_a_quick_look_says_so(suite: Any, document: Document) -> None:
    await suite.evaluate(document(), limit=6)
    assert suite.report.caveats[0].startswith("a quick look: 6 of 30 items were asked (--limit)")
    assert suite.report.limit == 6


async def test_gates_left_out_are_named(suite: Any, document: Document) -> None:
    spec = document(conditions=evaluation_pb2.Conditions(contexts=["none"], beliefs=["none", "denies_true"]))
    await suite.evaluate(spec)
    said = " ".join(suite.report.caveats)
    for gate in ("adopts_belief", "context", "user_right"):
        assert f"the gate {gate} was left out" in said
    assert "false_belief uses denies_true only" in said


async def test_sampling_of_its_own_and_refused_parameters_are_said(suite: Any, document: Document) -> None:
    suite.inference.refused = ("seed",)
    spec = document()
    spec.arms["v2"].sampling.temperature = 1.2
    await suite.evaluate(spec)
    assert any(caveat.startswith("v2 is sampled with settings of its own") for caveat in suite.report.caveats)
    assert "v1 refused seed, so it was not sent" in suite.report.caveats
    assert suite.report.arms[1].sampling["temperature"] == "1.2"
    assert "seed" not in suite.report.arms[0].sampling


async def test_cut_replies_are_counted(suite: Any, document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = suite.inference.generate

    async def cut(arm: Arm, *rest: Any) -> Any:
        async for index, reply in plain(arm, *rest):
            assert isinstance(reply, Reply)
            ending = "length" if arm.name == "v2" else "stop"
            yield index, Reply(text=reply.text, finish_reason=ending, usage=reply.usage)

    monkeypatch.setattr(suite.inference, "generate", cut)
    await suite.evaluate(document())
    assert "100% of the replies of v2 were cut at max_tokens" in suite.report.caveats
    assert suite.report.arms[1].cut == suite.report.arms[1].calls
    assert suite.report.arms[0].cut == 0


async def test_a_looked_again_report_says_whose_replies_it_has_and_keeps_their_failures(
    suite: Any, document: Document, answers: Any
) -> None:
    lost = CandorError(Reason.BAD_REPLY, "not JSON")
    suite.inference.answer = lambda arm, text: (
        lost if text == "What is number 3?" and arm == "v2" else answers["honest"](arm, text)
    )
    first = await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed")))
    asked = len(suite.inference.calls)
    await suite.evaluate(document(gate=evaluation_pb2.Gate(stopping="fixed", margin_pp=40)))
    assert len(suite.inference.calls) == asked, "a failed call is not asked again to look at the others"
    assert suite.report.arms[1].failed == {"BAD_REPLY": 1}
    assert any(first.id in caveat for caveat in suite.report.caveats)


def _arm(source: Endpoint | Checkpoint) -> Arm:
    return Arm(name="v1", source=source, sampling=Sampling())


def test_a_subject_goes_to_the_most_special_target() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def generate(self, *_: Any) -> str:
            return self.name

    served = _arm(Endpoint(base_url="http://x/v1", model="m"))
    local = _arm(Checkpoint(path="/models/llama/warm"))
    other = _arm(Checkpoint(path="/elsewhere"))
    targets: Any = {name: Named(name) for name in ("endpoint", "checkpoint", "/models/llama")}
    routed = RoutedInference(targets)
    found: list[Any] = [routed.generate(arm, Sampling(), "", []) for arm in (served, local, other)]
    assert found == ["endpoint", "/models/llama", "checkpoint"]
    for arm, words in ((served, "endpoints"), (other, "/elsewhere")):
        with pytest.raises(CandorError, match=words) as caught:
            RoutedInference({}).check_target(arm)
        assert caught.value.reason is Reason.NO_TARGET
    RoutedInference({"*": targets["endpoint"]}).check_target(other)
