"""Which specs are one job, and which fields are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chassis.errors import CandorError
from services.trainer.domain.spec import Lora, Provider, Training, TrainingSpec, from_json, job_id, to_json
from services.trainer.domain.validate import check

SPEC = TrainingSpec(base="/models/a", dataset="/data/a.jsonl", dataset_digest="sha256:" + "0" * 64)


def test_where_files_lie_and_what_people_call_it_do_not_make_another_job() -> None:
    moved = replace(SPEC, base="/models/b", dataset="/data/b.jsonl", display_name="warm")
    assert job_id(moved, "sha256:1") == job_id(SPEC, "sha256:1")


def test_where_a_key_comes_from_does_not_make_another_job() -> None:
    spec = replace(SPEC, executor="openai", provider=Provider(base_url="http://a", model="m", api_key_env="ONE"))
    for key in (Provider(base_url="http://a", model="m"), Provider(base_url="http://a", model="m", credential="two")):
        assert job_id(replace(spec, provider=key), "") == job_id(spec, "")


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, dataset_digest="sha256:" + "1" * 64),
        replace(SPEC, lora=Lora(r=4)),
        replace(SPEC, training=Training(seed=2)),
        replace(SPEC, executor="openai", provider=Provider(base_url="http://a", model="m")),
    ],
)
def test_whatever_decides_the_weights_makes_another_job(other: TrainingSpec) -> None:
    assert job_id(other, "sha256:1") != job_id(SPEC, "sha256:1")
    assert job_id(SPEC, "sha256:2") != job_id(SPEC, "sha256:1")


def test_a_spec_survives_its_file() -> None:
    spec = replace(SPEC, executor="openai", provider=Provider(base_url="http://a", model="m", suffix="s"))
    assert from_json(to_json(spec)) == spec
    assert from_json(to_json(SPEC)) == SPEC


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (replace(SPEC, base=""), "spec.base.path"),
        (replace(SPEC, base_adapter="/adapters/a"), "spec.base.adapter"),
        (replace(SPEC, executor="cloud"), "spec.executor"),
        (replace(SPEC, provider=Provider()), "spec.provider"),
        (replace(SPEC, lora=Lora(r=0)), "spec.lora.r"),
        (replace(SPEC, lora=Lora(dropout=1)), "spec.lora.dropout"),
        (replace(SPEC, training=Training(warmup=1)), "spec.training.warmup"),
        (replace(SPEC, training=Training(checkpoint_epochs=(1, 11))), "spec.training.checkpoint_epochs[1]"),
        (replace(SPEC, training=Training(batch_size=6, device_batch_size=7)), "spec.training.device_batch_size"),
        (replace(SPEC, training=Training(processes=3)), "spec.training.processes"),
        (replace(SPEC, training=Training(precision="fp16")), "spec.training.precision"),
    ],
)
def test_a_bad_field_is_named(spec: TrainingSpec, field: str) -> None:
    with pytest.raises(CandorError) as caught:
        check(spec)
    assert field in [violation.field for violation in caught.value.violations]


def test_the_defaults_are_good() -> None:
    check(SPEC)
