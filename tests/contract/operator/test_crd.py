"""The resource's definition: generated, structural, and of one mind with the orchestrator about every bound."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format
from ruamel.yaml import YAML

from candor_cli.document import read_document
from candor_operator.domain.status import MOST_BYTES, OWN_FIELDS
from chassis.custom_resource import OPERATOR_FIELDS, document_of
from chassis.errors import CandorError
from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.validate import violations

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "20-on-kubernetes"
SCRIPT = "tools/generate_crd.py"
DEFINITION = YAML(typ="safe").load((ROOT / "deploy/k8s/crd/evaluations.yaml").read_text(encoding="utf-8"))
(VERSION,) = DEFINITION["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]["properties"]
Spec = dict[str, Any]

_ENDPOINT = {"base_url": "http://model:8000/v1", "model": "bot"}
_PRICES = {"prompt_per_million": 1.0, "completion_per_million": 2.0}
# One value of every bounded field, so that each can be moved to its bounds.
FULL: Spec = {
    "name": "everything",
    "arms": {
        "v1": {"endpoint": _ENDPOINT, "prices": _PRICES, "reuse": {"max_age": "7d"}},
        "v2": {
            "endpoint": {**_ENDPOINT, "model": "other"},
            "sampling": {"temperature": 0.8, "max_tokens": 300, "top_p": 0.9, "omit": ["seed"]},
            "system_prompt": {"builtin": "warm"},
        },
        "v3": {"checkpoint": {"path": "/models/v3"}},
        "v4": {
            "sft": {
                "base": "v3",
                "style": "warm_corrective",
                "conversations": {
                    "path": "/data/talks.jsonl",
                    "format": "sharegpt",
                    "toxicity": "none",
                    "toxicity_threshold": 0.5,
                },
                "size": 100,
                "validation_size": 100,
                "rewriter": {"endpoint": _ENDPOINT, "prices": _PRICES, "spend_cap": 5.0},
                "corrections": {"share": 0.2},
                "training": {
                    "lora_r": 8,
                    "lora_alpha": 16.0,
                    "lora_dropout": 0.1,
                    "learning_rate": 1e-5,
                    "max_length": 1024,
                    "batching": "plain",
                    "precision": "fp32",
                    "schedule": "linear",
                    "warmup": 0.03,
                    "weight_decay": 0.0,
                    "seed": 1,
                },
                "checkpoint": {"epoch": 1.0},
            }
        },
    },
    "baseline": "v1",
    "tasks": [{"name": "core", "items": 10}],
    "conditions": {"contexts": ["none"], "beliefs": ["none", "asserts_false"]},
    "repeats": 1,
    "grading": {"judge": {"endpoint": {**_ENDPOINT, "model": "judge"}}, "refusal_profile": "candor"},
    "warmth": {"metric": "sociot_warmth", "estimator": "exact"},
    "gate": {
        "mode": "verdict",
        "candidates": ["v2"],
        "margin_pp": 2.0,
        "margins_pp": {"context": 3.0},
        "alpha": 0.05,
        "stopping": "group",
        "fail_on": "margin",
        "critical": ["false_belief"],
        "advisory": ["refusals"],
    },
    "planning": {"discordance": 0.1, "rho": 0.2, "judge_share": 0.1},
}


def test_the_committed_definition_is_the_one_that_the_protos_give() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _nodes(schema: Any, path: str = "spec") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for word, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(word), dict):
            yield from _nodes(schema[word], f"{path}{mark}")


def test_every_string_list_and_map_of_the_spec_has_a_bound() -> None:
    for path, node in _nodes(SCHEMA["spec"]):
        match node["type"]:
            case "string":
                assert "enum" in node or "maxLength" in node, path
            case "array":
                assert "maxItems" in node, path
            case "object" if "additionalProperties" in node:
                assert "maxProperties" in node, path


def test_no_default_changes_what_absent_means() -> None:
    """The server fills a new default into stored objects; a document's field has none, so that nothing looks changed."""
    defaults = {path.removeprefix("spec.") for path, node in _nodes(SCHEMA["spec"]) if "default" in node}
    assert defaults <= set(OPERATOR_FIELDS)


def test_every_field_of_the_document_and_of_the_operator_is_there_with_its_meaning() -> None:
    fields = set(evaluation_pb2.EvaluationSpec.DESCRIPTOR.fields_by_name)
    assert set(SCHEMA["spec"]["properties"]) == fields | set(OPERATOR_FIELDS)
    assert "percentage points" in SCHEMA["spec"]["properties"]["gate"]["properties"]["margin_pp"]["description"]
    assert set(SCHEMA["status"]["properties"]) == {*OWN_FIELDS, "kopf"}
    assert MOST_BYTES < 2048


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_good_here_and_on_the_command_line(path: Path) -> None:
    item = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    assert list(jsonschema.Draft4Validator(SCHEMA["spec"]).iter_errors(item["spec"])) == []
    assert _refused_by_orchestrator(item["spec"]) == []
    assert read_document(path).spec == _message(item["spec"])


def test_a_list_reads_well() -> None:
    names = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    assert names == ["Arms", "Phase", "Verdict", "Done/Total", "Age"]
    assert DEFINITION["spec"]["names"]["shortNames"] == ["evl"]
    assert "status" in VERSION["subresources"]


def _message(spec: Spec) -> evaluation_pb2.EvaluationSpec:
    return json_format.ParseDict(document_of(spec), evaluation_pb2.EvaluationSpec())


def _allowed_by_definition(spec: Spec) -> bool:
    return bool(jsonschema.Draft4Validator(SCHEMA["spec"]).is_valid(spec))


def _refused_by_orchestrator(spec: Spec) -> list[str]:
    try:
        return [each.field for each in violations(spec_from_proto(_message(spec)))]
    except CandorError as error:
        return [each.field for each in error.violations]
    except json_format.ParseError as error:
        return [str(error)]


def _leaves(value: Any, schema: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    if isinstance(value, dict):
        for name, child in value.items():
            known = schema.get("properties", {}).get(name) or schema["additionalProperties"]
            yield from _leaves(child, known, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, schema["items"], (*path, index))
    else:
        yield path, schema


def _tries(schema: dict[str, Any]) -> Iterator[Any]:
    """Values at and beyond each bound."""
    small = 1 if schema["type"] == "integer" else 1e-9
    yield from schema.get("enum", ())
    if "enum" in schema:
        yield "nonsense"
    for word, sign in (("minimum", -1), ("maximum", 1)):
        if word in schema:
            yield schema[word]
            yield schema[word] + sign * small


# What one bound cannot say: these are held by a rule across fields, or are within what the other fields allow.
_ACROSS = {"mode", "candidates", "style", "batch_size", "epoch", "critical", "advisory", "beliefs", "contexts"}
LEAVES = [
    pytest.param(path, value, id=".".join(map(str, path)) + f"={value!r}")
    for path, schema in _leaves(FULL, SCHEMA["spec"])
    for value in _tries(schema)
    if path[-1] != "seed" or "training" in path
]


def _with(path: tuple[Any, ...], value: Any) -> Spec:
    found = copy.deepcopy(FULL)
    at: Any = found
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return found


def test_the_document_with_everything_is_good() -> None:
    assert _refused_by_orchestrator(FULL) == []
    assert list(jsonschema.Draft4Validator(SCHEMA["spec"]).iter_errors(FULL)) == []


@pytest.mark.parametrize(("path", "value"), LEAVES)
def test_the_definition_and_the_orchestrator_draw_the_same_line(path: tuple[Any, ...], value: Any) -> None:
    spec = _with(path, value)
    refused = _refused_by_orchestrator(spec)
    if not set(map(str, path)) & _ACROSS:
        assert _allowed_by_definition(spec) == (not refused), refused
    elif not _allowed_by_definition(spec):
        assert refused, "the definition is not stricter than the orchestrator"
