"""A document that was under way before an upgrade is the same document after it."""

from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2
from google.protobuf import json_format

from services.orchestrator.convert.documents import spec_from_proto
from services.orchestrator.domain.spec import document_digest, gate_digest

PRICES = {"prompt_per_million": 1, "completion_per_million": 2}
SERVED: dict[str, Any] = {
    "arms": {
        "v1": {"endpoint": {"base_url": "http://a.test/v1", "model": "m"}, "prices": PRICES},
        "v2": {"endpoint": {"base_url": "http://b.test/v1", "model": "m"}},
    },
    "baseline": "v1",
    "tasks": [{"name": "core"}],
    "grading": {"judge": {"endpoint": {"base_url": "http://j.test/v1", "model": "j"}, "prices": PRICES}},
}
MADE: dict[str, Any] = {
    "arms": {
        "original": {"checkpoint": {"path": "/base"}},
        "warm": {
            "sft": {
                "base": "original",
                "style": "warm",
                "conversations": {"path": "/talks.json"},
                "rewriter": {
                    "endpoint": {"base_url": "http://w.test/v1", "model": "w"},
                    "prices": PRICES,
                    "spend_cap": 5,
                },
                "training": {"lora_r": 16},
            }
        },
    },
    "baseline": "original",
    "tasks": [{"name": "core"}],
    "gate": {"mode": "none"},
}


@pytest.mark.parametrize(
    ("document", "digests"),
    [
        (
            SERVED,
            (
                "sha256:b306ce7d6df408fc0550fc29e800971982615bdb1c0ce785d20a6256c3f74610",
                "sha256:1218ddd1d8435879a6e0ea0735f46b4780418031fdb530307715dd1192a28fe3",
            ),
        ),
        (
            MADE,
            (
                "sha256:5ea76702411ce3b4e453dc66bf7fc09f74b432a0ddfa657f5d85e126b05faea6",
                "sha256:5598e4967b5aa22bcd66063694786ba06915978094fe51de2dd9c8f189ca87bc",
            ),
        ),
    ],
    ids=["served", "made"],
)
def test_its_digests_stay(document: dict[str, Any], digests: tuple[str, str]) -> None:
    """A new field of the document is marked `plain.LATER`; only what a document says may change its digests."""
    spec = spec_from_proto(json_format.ParseDict(document, evaluation_pb2.EvaluationSpec()))
    assert (document_digest(spec, 0), gate_digest(spec)) == digests


def test_a_later_field_that_a_document_sets_makes_another_of_it() -> None:
    message = json_format.ParseDict(MADE, evaluation_pb2.EvaluationSpec())
    before = document_digest(spec_from_proto(message), 0)
    message.arms["warm"].sft.training.weight_decay = 0.1
    assert document_digest(spec_from_proto(message), 0) != before
