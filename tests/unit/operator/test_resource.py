from pathlib import Path
from typing import Any

import pytest

from candor_cli.document import parse_document
from candor_operator.domain.resource import read_resource
from chassis.errors import CandorError, Reason
from chassis.testing.fake_kubernetes.kinds import Object

from .conftest import START, spec

DOCUMENT = """\
apiVersion: candor.dev/v1alpha1
kind: Evaluation
metadata: {name: nightly}
spec:
  schedule: "0 2 * * *"
  time_zone: Europe/Berlin
  history_limit: 7
  suspend: false
  allow_underpowered: true
  limit: 100
  name: support-bot
  arms:
    v1: {endpoint: {base_url: "http://model-v1:8000/v1", model: bot}, prices: {prompt_per_million: 1}}
    v2:
      endpoint: {base_url: "http://model-v2:8000/v1", model: bot, credential: models}
      system_prompt: {builtin: warm}
      sampling: {temperature: 0, omit: [seed]}
    v3: {checkpoint: {path: /models/v3, adapter: /models/v3-lora}, revision: "2026-11-23"}
  baseline: v1
  tasks: [{name: core, items: 10}]
  conditions: {contexts: [none, "emotion:sad"], beliefs: [none, asserts_false]}
  grading: {judge: {endpoint: {base_url: "http://judge/v1", model: j}, max_tokens: 10}}
  gate: {candidates: [v2], margin_pp: 2, margins_pp: {context: 4.5}, alpha: 0.05, advisory: [refusals]}
  contrasts: [{name: tuned, treated: v3, reference: v1}]
"""


def _body(item: Object | dict[str, Any]) -> dict[str, Any]:
    meta = {"uid": "u", "generation": 3, "creationTimestamp": START.isoformat()}
    return {**item, "metadata": meta}


def test_one_document_is_one_specification_through_the_command_line_and_through_the_operator(tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    tree = YAML(typ="safe").load(DOCUMENT)
    by_command_line = parse_document(DOCUMENT, tmp_path / "nightly.yaml").spec
    resource = read_resource(_body(tree))
    assert resource.evaluation_spec() == by_command_line
    assert (resource.schedule, resource.time_zone, resource.history_limit) == ("0 2 * * *", "Europe/Berlin", 7)
    assert (resource.allow_underpowered, resource.limit) == (True, 100)


def test_what_the_api_server_fills_in_means_what_absent_means() -> None:
    plain = read_resource(_body({"spec": spec()}))
    filled = read_resource(_body({"spec": spec(suspend=False, history_limit=5, time_zone="UTC", limit=0)}))
    assert filled == plain


def test_a_default_that_a_later_definition_fills_in_does_not_change_what_runs() -> None:
    sft = {"base": "v1", "style": "warm", "conversations": {"path": "/data/talks.jsonl"}}
    arms = spec()["arms"] | {"v2": {"sft": sft}}
    filled = arms | {"v2": {"sft": sft | {"conversations": {"unbalanced": False, "path": "/data/talks.jsonl"}}}}
    plain = read_resource(_body({"spec": spec(arms=arms, repeats=2)}))
    assert read_resource(_body({"spec": spec(repeats=2.0, arms=filled)})).digest == plain.digest


def test_the_digest_is_of_what_runs() -> None:
    first = read_resource(_body({"spec": spec()}))
    assert read_resource(_body({"spec": spec(schedule="@daily", suspend=True)})).digest == first.digest
    changes = (spec(repeats=2), spec(limit=10), spec(allow_underpowered=True), spec(reepats=2), spec(reepats=3))
    assert len({first.digest, *(read_resource(_body({"spec": changed})).digest for changed in changes)}) == 6


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(CandorError, match="base_ulr") as caught:
        read_resource(_body({"spec": {"arms": {"v1": {"endpoint": {"base_ulr": "x"}}}}})).evaluation_spec()
    assert caught.value.reason is Reason.BAD_DOCUMENT


def test_arms_are_told_baseline_first_and_not_without_end() -> None:
    def arms(names: list[str], baseline: str) -> str:
        document = {"arms": {name: {} for name in names}, "baseline": baseline}
        return read_resource(_body({"spec": document})).arms

    assert arms(["a", "b"], "b") == "b, a"
    many = arms([f"a-rather-long-name-{number}" for number in range(9)], "a-rather-long-name-4")
    assert many == "a-rather-long-name-4, a-rather-long-name-0 +7"
