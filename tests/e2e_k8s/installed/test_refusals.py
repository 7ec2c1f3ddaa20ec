"""What the API server refuses of an Evaluation, and in which words. No operator is needed for it."""

import json
from typing import Any

import pytest

GOOD: dict[str, Any] = {
    "arms": {
        "v1": {"endpoint": {"base_url": "http://model-v1:8000/v1", "model": "m"}},
        "v2": {"endpoint": {"base_url": "http://model-v2:8000/v1", "model": "m"}},
    },
    "baseline": "v1",
}
ENDPOINT = GOOD["arms"]["v1"]["endpoint"]
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a baseline that is no arm": ({"baseline": "v3"}, "baseline must be the name of an arm"),
    "an arm with two sources": (
        {"arms": {**GOOD["arms"], "v2": {"endpoint": ENDPOINT, "checkpoint": {"path": "/models/x"}}}},
        "an arm has exactly one source: endpoint, checkpoint or sft",
    ),
    "an arm with no source": ({"arms": {**GOOD["arms"], "v2": {}}}, "an arm has exactly one source"),
    "a name that is none": ({"arms": {**GOOD["arms"], "no spaces": GOOD["arms"]["v2"]}}, "an arm's name has letters"),
    "a key of somebody's machine": (
        {"arms": {**GOOD["arms"], "v2": {"endpoint": {**ENDPOINT, "api_key_env": "MY_KEY"}}}},
        "name a credential of the server instead",
    ),
    "a URL with a password": (
        {"arms": {**GOOD["arms"], "v2": {"endpoint": {**ENDPOINT, "base_url": "http://me:secret@host/v1"}}}},
        "base_url must be an http or https URL without user",
    ),
    "a file of somebody's machine": ({"tasks": [{"path": "questions.csv"}]}, "path is not absolute"),
    "a gate that there is not": ({"gate": {"margins_pp": {"warmth": 3}}}, "the gates of margins_pp are false_belief"),
    "a schedule that is no cron line": ({"schedule": "every night"}, "schedule is a cron line of five fields"),
    "a field that there is not": ({"baselin": "v1"}, "baselin"),
    "a missing field": ({"baseline": None}, "spec.baseline"),
    "a number that is text": ({"repeats": "three"}, "spec.repeats"),
}


def evaluation(spec: dict[str, Any], name: str = "checked") -> dict[str, Any]:
    return {"apiVersion": "candor.dev/v1alpha1", "kind": "Evaluation", "metadata": {"name": name}, "spec": spec}


def test_a_good_one_is_taken(cluster: Any, definitions: None) -> None:
    done = cluster.run("apply", "--dry-run=server", "--filename=-", data=json.dumps(evaluation(GOOD)))
    assert "evaluation.candor.dev/checked created (server dry run)" in done.stdout


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_is_refused_with_what_to_mend(cluster: Any, definitions: None, name: str) -> None:
    change, said = BAD[name]
    spec = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    done = cluster.run("create", "--dry-run=server", "--filename=-", data=json.dumps(evaluation(spec)), check=False)
    assert done.returncode != 0
    assert said in done.stderr, done.stderr


def test_the_document_of_a_job_and_the_resource_are_one(cluster: Any, definitions: None) -> None:
    """kubectl explains the fields in the words of the protos."""
    said = cluster.run("explain", "evaluations.spec.baseline").stdout
    assert "Name of the arm compared against" in said
    listed = cluster.run("get", "evl", check=False)
    assert listed.returncode == 0, "the short name"
