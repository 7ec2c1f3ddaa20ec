"""Every rule of the document, each broken once: the field is named, and so is the mend."""

from collections.abc import Callable
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.errors import CandorError, Reason
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.validate import violations

Change = Callable[[evaluation_pb2.EvaluationSpec], Any]


def _arm(**fields: Any) -> Change:
    def change(spec: evaluation_pb2.EvaluationSpec) -> None:
        for name, value in fields.items():
            setattr(spec.arms["v2"].endpoint, name, value)

    return change


def _sampling(**fields: Any) -> Change:
    def change(spec: evaluation_pb2.EvaluationSpec) -> None:
        for name, value in fields.items():
            if name == "omit":
                spec.sampling.omit.extend(value)
            else:
                setattr(spec.sampling, name, value)

    return change


def _merge(**fields: Any) -> Change:
    return lambda spec: spec.MergeFrom(evaluation_pb2.EvaluationSpec(**fields))


def _long_prompt(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].system_prompt.text = "x" * 40_000


def _empty_prompt(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].system_prompt.text = ""


def _odd_prompt(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].system_prompt.builtin = "tepid"


def _no_path(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].checkpoint.path = ""


def _price(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].prices.prompt_per_million = -1


def _age(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v2"].reuse.max_age = "soon"


def _third(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v3"].CopyFrom(spec.arms["v2"])


def _name(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.arms["v 3"].CopyFrom(spec.arms["v2"])
    spec.gate.candidates.append("v2")


def _judge(spec: evaluation_pb2.EvaluationSpec) -> None:
    spec.grading.judge.endpoint.CopyFrom(spec.arms["v2"].endpoint)
    spec.grading.judge.endpoint.base_url += "/"


Contrast, Gate, Task = evaluation_pb2.Contrast, evaluation_pb2.Gate, evaluation_pb2.TaskSource


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec.ClearField("arms"), "arms"),
        (lambda spec: spec.ClearField("baseline"), "baseline"),
        (_merge(baseline="v9"), "baseline"),
        (_name, "arms.v 3"),
        (_arm(base_url=""), "arms.v2.endpoint.base_url"),
        (_arm(base_url="ftp://x"), "arms.v2.endpoint.base_url"),
        (_arm(base_url="http://user:secret@host/v1"), "arms.v2.endpoint.base_url"),
        (_arm(base_url="http://[bad/v1"), "arms.v2.endpoint.base_url"),
        (_arm(base_url="http://host:99999/v1"), "arms.v2.endpoint.base_url"),
        (_arm(base_url="http://host/v1?api-version=3"), "arms.v2.endpoint.base_url"),
        (_arm(model=""), "arms.v2.endpoint.model"),
        (_arm(api_key_env="A", credential="b"), "arms.v2.endpoint"),
        (_no_path, "arms.v2.checkpoint.path"),
        (_long_prompt, "arms.v2.system_prompt.text"),
        (_empty_prompt, "arms.v2.system_prompt"),
        (_odd_prompt, "arms.v2.system_prompt.builtin"),
        (_price, "arms.v2.prices.prompt_per_million"),
        (_age, "arms.v2.reuse.max_age"),
        (_sampling(temperature=2.5), "sampling.temperature"),
        (_sampling(max_tokens=0), "sampling.max_tokens"),
        (_sampling(top_p=0), "sampling.top_p"),
        (_sampling(omit=["messages"]), "sampling.omit"),
        (_sampling(max_tokens_field="tokens"), "sampling.max_tokens_field"),
        (_merge(gate=Gate(mode="maybe")), "gate.mode"),
        (_third, "gate.candidates"),
        (_merge(gate=Gate(candidates=["v9"])), "gate.candidates[0]"),
        (_merge(gate=Gate(candidates=["v1"])), "gate.candidates[0]"),
        (_merge(gate=Gate(margins_pp={"vibes": 1})), "gate.margins_pp.vibes"),
        (_merge(gate=Gate(margins_pp={"context": 0})), "gate.margins_pp.context"),
        (_merge(gate=Gate(margin_pp=101)), "gate.margin_pp"),
        (_merge(gate=Gate(critical=["vibes"])), "gate.critical[0]"),
        (_merge(gate=Gate(advisory=["vibes"])), "gate.advisory[0]"),
        (_merge(gate=Gate(alpha=0.6)), "gate.alpha"),
        (_merge(gate=Gate(stopping="whenever")), "gate.stopping"),
        (_merge(gate=Gate(fail_on="sight")), "gate.fail_on"),
        (_merge(conditions=evaluation_pb2.Conditions(contexts=["emotion:bored"])), "conditions.contexts[0]"),
        (_merge(conditions=evaluation_pb2.Conditions(beliefs=["none", "none"])), "conditions.beliefs[1]"),
        (_merge(repeats=101), "repeats"),
        (_merge(tasks=[Task(name="a", hub="x/y", path="z")]), "tasks[0]"),
        (_merge(tasks=[Task()]), "tasks[0].name"),
        (_merge(tasks=[Task(name="core", items=0)]), "tasks[0].items"),
        (_merge(tasks=[Task(name="core"), Task(name="core")]), "tasks"),
        (_merge(contrasts=[Contrast(name="c", treated="v9", reference="v1")]), "contrasts[0].treated"),
        (_merge(contrasts=[Contrast(name="c", treated="v1", reference="v1")]), "contrasts[0]"),
        (_judge, "grading.judge"),
        (_merge(grading=evaluation_pb2.Grading(refusal_profile="mild")), "grading.refusal_profile"),
        (_merge(warmth=evaluation_pb2.Warmth(metric="heat")), "warmth.metric"),
        (_merge(warmth=evaluation_pb2.Warmth(estimator="guess")), "warmth.estimator"),
        (_merge(planning=evaluation_pb2.Planning(rho=1.5)), "planning.rho"),
    ],
)
def test_a_broken_rule_names_its_field(document: Callable[..., Any], change: Change, field: str) -> None:
    spec = document()
    assert violations(spec_from_proto(spec)) == []
    change(spec)
    found = violations(spec_from_proto(spec))
    assert field in {violation.field for violation in found}
    assert all(violation.description for violation in found)
    assert "secret" not in str(found)


@pytest.mark.parametrize("url", ["http://V2.test/v1", "http://v2.test:80/v1", "http://v2.test/v1/"])
def test_a_judge_is_a_subject_however_its_url_is_spelt(url: str, document: Callable[..., Any]) -> None:
    spec = document()
    _judge(spec)
    spec.arms["v2"].endpoint.base_url = "http://v2.test/v1"
    spec.arms["v2"].endpoint.model = spec.grading.judge.endpoint.model
    spec.grading.judge.endpoint.base_url = url
    assert [violation.field for violation in violations(spec_from_proto(spec))] == ["grading.judge"]


def test_a_judge_that_is_a_subject_may_be_allowed(document: Callable[..., Any]) -> None:
    spec = document()
    _judge(spec)
    spec.grading.judge.allow_subject_as_judge = True
    assert violations(spec_from_proto(spec)) == []


def test_what_has_no_value_at_all_is_said_before_the_rules(document: Callable[..., Any]) -> None:
    spec = document()
    spec.arms["v3"].revision = "r"
    spec.arms["v2"].system_prompt.file = "/etc/passwd"
    with pytest.raises(CandorError) as caught:
        spec_from_proto(spec)
    assert caught.value.reason is Reason.BAD_DOCUMENT
    assert {violation.field for violation in caught.value.violations} == {"arms.v3", "arms.v2.system_prompt.file"}


def test_tasks_without_a_name_of_their_own_are_not_one_task(document: Callable[..., Any]) -> None:
    spec = document()
    del spec.tasks[:]
    spec.tasks.add(hub="owner/one")
    spec.tasks.add(hub="owner/two")
    assert violations(spec_from_proto(spec)) == []
