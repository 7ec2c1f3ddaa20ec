"""What a real API server makes of the definition: refusals at the door, defaults, columns. The fake has no CEL."""

from __future__ import annotations

from typing import Any

import pytest

from chassis.testing.fake_kubernetes import Refused

ENDPOINT = {"base_url": "http://model:8000/v1", "model": "bot"}
TWO = {"v1": {"endpoint": ENDPOINT}, "v2": {"endpoint": ENDPOINT}}
GOOD: dict[str, Any] = {"arms": TWO, "baseline": "v1"}
SFT = {"base": "v1", "style": "warm", "conversations": {"path": "/data/talks.jsonl"}}


def _arm(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "arms": {**TWO, "v2": fields}}


REFUSALS = {
    "no baseline": ({"arms": TWO}, "spec.baseline: Required value"),
    "baseline of no arm": ({**GOOD, "baseline": "v3"}, "no arm is called v3; baseline must be the name of an arm"),
    "one arm": (
        {"arms": {"v1": {"endpoint": ENDPOINT}}, "baseline": "v1"},
        "a verdict needs a baseline and a candidate",
    ),
    "three arms": (
        {**GOOD, "arms": {**TWO, "v3": {"endpoint": ENDPOINT}}},
        "name those that the verdict is about in gate.candidates, or set gate: {mode: none}",
    ),
    "candidate of no arm": (
        {**GOOD, "gate": {"candidates": ["v3"]}},
        "gate.candidates must be names of arms other than",
    ),
    "candidate is baseline": (
        {**GOOD, "gate": {"candidates": ["v1"]}},
        "gate.candidates must be names of arms other than",
    ),
    "name of an arm": ({**GOOD, "arms": {**TWO, "a b": {"endpoint": ENDPOINT}}}, "an arm's name has letters, digits"),
    "contrast": (
        {**GOOD, "contrasts": [{"treated": "v1", "reference": "v1"}]},
        "each contrast must name two different arms",
    ),
    "no source": (_arm(revision="1"), "an arm has exactly one source: endpoint, checkpoint or sft"),
    "two sources": (_arm(endpoint=ENDPOINT, checkpoint={"path": "/m"}), "an arm has exactly one source"),
    "file of a prompt": (
        _arm(endpoint=ENDPOINT, system_prompt={"file": "warm.txt"}),
        "file is read by the command line and a cluster has no such file: write the prompt as text",
    ),
    "two prompts": (
        _arm(endpoint=ENDPOINT, system_prompt={"text": "a", "builtin": "warm"}),
        "set exactly one of text and",
    ),
    "key in a variable": (
        _arm(endpoint={**ENDPOINT, "api_key_env": "KEY"}),
        "api_key_env works only on your own machine: name a credential of the server instead (credential)",
    ),
    "URL": (_arm(endpoint={**ENDPOINT, "base_url": "model:8000"}), "base_url must be an http or https URL"),
    "secret in a URL": (
        _arm(endpoint={**ENDPOINT, "base_url": "http://a:b@m/v1"}),
        "base_url must be an http or https URL",
    ),
    "relative checkpoint": (_arm(checkpoint={"path": "models/v2"}), "path is not absolute: a cluster has no document"),
    "relative adapter": (_arm(checkpoint={"path": "/m", "adapter": "lora"}), "adapter is not absolute"),
    "relative task": ({**GOOD, "tasks": [{"path": "my.jsonl"}]}, "path is not absolute"),
    "nameless task": ({**GOOD, "tasks": [{"items": 3}]}, "name is required: core, another task's name"),
    "two sources of a task": ({**GOOD, "tasks": [{"hub": "a/b", "path": "/c"}]}, "give one of hub, path and dataset"),
    "style file": (_arm(sft={**SFT, "style_file": "s.yaml"}), "style_file is read by the command line"),
    "two styles": (
        _arm(sft={**SFT, "style_definition": {"name": "own"}}),
        "give exactly one of style and style_definition",
    ),
    "base": (_arm(sft={**SFT, "base": "v3"}), "sft.base must be the name of an arm with a checkpoint or an endpoint"),
    "conversations": (_arm(sft={**SFT, "conversations": {}}), "give exactly one of path and dataset"),
    "spend cap": (_arm(sft={**SFT, "rewriter": {"spend_cap": 3}}), "spend_cap needs an endpoint and its prices"),
    "choice": (_arm(sft={**SFT, "checkpoint": {"epoch": 1, "choose_on": "v2"}}), "give one of epoch and choose_on"),
    "margins": ({**GOOD, "gate": {"margins_pp": {"contexts": 2}}}, "the gates of margins_pp are false_belief"),
    "margin": ({**GOOD, "gate": {"margin_pp": 0}}, "spec.gate.margin_pp: Invalid value"),
    "alpha": ({**GOOD, "gate": {"alpha": 0.6}}, "spec.gate.alpha: Invalid value"),
    "word": ({**GOOD, "gate": {"stopping": "early"}}, 'supported values: "group", "fixed", "anytime"'),
    "repeats": ({**GOOD, "repeats": 0}, "spec.repeats: Invalid value"),
    "schedule": ({**GOOD, "schedule": "every night"}, "schedule is a cron line of five fields"),
    "random schedule": ({**GOOD, "schedule": "R 2 * * *"}, "R and H are times drawn by lot: write the time"),
    "time zone": ({**GOOD, "time_zone": "not a zone"}, "spec.time_zone: Invalid value"),
}


@pytest.mark.parametrize("namespace", ["real"], indirect=True)
class TestRealServer:
    def test_what_cannot_run_is_refused_at_the_door_with_the_mend(self, namespace: Any) -> None:
        for name, (spec, message) in REFUSALS.items():
            with pytest.raises(Refused) as caught:
                namespace.create(spec)
            assert caught.value.code == 422, name
            assert message in caught.value.status["message"], name

    def test_an_unknown_field_is_refused_by_name(self, namespace: Any) -> None:
        item = {"apiVersion": "candor.dev/v1alpha1", "kind": "Evaluation", "metadata": {"name": "a"}}
        spec = {**GOOD, "gate": {"margin": 2}}
        with pytest.raises(Refused) as caught:
            namespace.client.call("POST", namespace.evaluations, {**item, "spec": spec}, fieldValidation="Strict")
        assert 'unknown field "spec.gate.margin"' in caught.value.status["message"]

    def test_a_good_one_is_taken_and_only_fields_of_the_operator_are_filled_in(self, namespace: Any) -> None:
        spec = namespace.create(_arm(sft=SFT) | {"schedule": "0 2 * * *", "time_zone": "Europe/Berlin"})["spec"]
        filled = {"suspend": False, "history_limit": 5, "allow_underpowered": False, "limit": 0}
        assert {name: spec[name] for name in filled} == filled
        assert spec["arms"]["v2"]["sft"] == SFT

    def test_the_list_has_the_columns(self, namespace: Any) -> None:
        namespace.create(GOOD)
        table = namespace.client.http.get(
            namespace.evaluations, headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        ).json()
        shown = [column["name"] for column in table["columnDefinitions"] if not column["priority"]]
        assert shown == ["Name", "Arms", "Phase", "Verdict", "Done/Total", "Age"]
        assert [column["name"] for column in table["columnDefinitions"] if column["priority"]] == ["Spend", "Reason"]
