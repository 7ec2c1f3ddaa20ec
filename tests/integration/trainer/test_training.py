"""A job from spec to adapters over real gRPC, and everything that is refused before it starts."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candor.trainer.v1 import trainer_pb2 as pb

from chassis.clients import translated
from chassis.egress import Egress
from chassis.errors import CandorError, Reason

Spec = Callable[..., pb.TrainingSpec]


def weights_in(folder: str) -> bool:
    return Path(folder, "adapter_model.safetensors").is_file()


async def refused(call: Any) -> CandorError:
    with pytest.raises(CandorError) as caught, translated("trainer"):
        await call
    return caught.value


async def test_a_job_trains_adapters_that_peft_and_transformers_load_and_that_change_the_model(
    trainer: Any, make_spec: Spec, watch: Any, base: Path
) -> None:
    spec = make_spec()
    spec.merge = True
    job = await trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec))
    events = await watch(trainer, job.name)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.state for event in events][-1] == "SUCCEEDED"
    losses = [event.progress.loss for event in events if event.progress.HasField("loss")]
    assert losses[-1] < losses[0] / 2
    assert [event.progress.step for event in events] == sorted(event.progress.step for event in events)

    finished = await trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name))
    assert [(saved.epoch, saved.step) for saved in finished.checkpoints] == [(1, 10), (2, 20), (3, 30)]
    assert len({saved.digest for saved in finished.checkpoints}) == 3
    assert finished.preflight.steps == finished.progress.steps == 30
    assert finished.progress.trained_tokens == 3 * finished.preflight.trained_tokens["assistant"]
    assert finished.versions["trl"]

    # the same spec is the same job, and nothing is trained again
    again = await trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec))
    assert (again.name, again.state) == (job.name, "SUCCEEDED")
    assert await watch(trainer, job.name, after=len(events) - 1) == events[-1:]
    listed = await trainer.ListTrainingJobs(pb.ListTrainingJobsRequest())
    assert [known.name for known in listed.jobs] == [job.name]

    plain, by_peft, by_transformers, merged = _logits(
        base, Path(finished.checkpoints[-1].path), Path(finished.merged_path)
    )
    assert abs(by_peft - plain).max() > 0.1
    assert abs(by_peft - by_transformers).max() < 1e-5
    assert abs(by_peft - merged).max() < 1e-3

    await trainer.DeleteTrainingJob(pb.DeleteTrainingJobRequest(name=job.name))
    gone = await refused(trainer.GetTrainingJob(pb.GetTrainingJobRequest(name=job.name)))
    assert gone.reason is Reason.TRAINING_JOB_NOT_FOUND
    assert not weights_in(finished.checkpoints[-1].path)


def _logits(base: Path, adapter: Path, whole: Path) -> tuple[Any, ...]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = torch.arange(3, 40)[None]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base).eval()
        plain = model(ids).logits.numpy().copy()
        by_peft = PeftModel.from_pretrained(model, adapter).eval()(ids).logits.numpy().copy()
        by_transformers = AutoModelForCausalLM.from_pretrained(adapter).eval()(ids).logits.numpy()
        merged = AutoModelForCausalLM.from_pretrained(whole).eval()(ids).logits.numpy()
        assert AutoTokenizer.from_pretrained(whole).chat_template
    return plain, by_peft, by_transformers, merged


async def test_a_cancelled_job_keeps_its_checkpoints_and_goes_on_when_it_is_created_again(
    trainer: Any, make_spec: Spec, watch: Any
) -> None:
    request = pb.CreateTrainingJobRequest(spec=make_spec())
    job = await trainer.CreateTrainingJob(request)
    await watch(trainer, job.name, lambda event: event.progress.step >= 12)
    running = await refused(trainer.DeleteTrainingJob(pb.DeleteTrainingJobRequest(name=job.name)))
    assert running.reason is Reason.TRAINING_JOB_RUNNING
    cancelled = await trainer.CancelTrainingJob(pb.CancelTrainingJobRequest(name=job.name))
    assert cancelled.state == "CANCELLED"
    assert [saved.step for saved in cancelled.checkpoints] == [10]
    assert weights_in(cancelled.checkpoints[0].path)
    assert (await trainer.CancelTrainingJob(pb.CancelTrainingJobRequest(name=job.name))).state == "CANCELLED"

    await trainer.CreateTrainingJob(request)
    events = await watch(trainer, job.name, after=1)
    assert any(event.message.startswith("goes on after step") for event in events)
    assert events[-1].state == "SUCCEEDED"


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (
            ['{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}', "{broken"],
            "line 2",
        ),
        ([], "holds no conversation"),
        (['{"messages": []}'], "line 1"),
        (['{"messages": [{"role": "human", "content": "a"}]}'], "messages[0].role"),
        (['{"messages": [{"role": "user", "content": "a"}]}'], "no assistant message"),
        (['{"messages": [{"role": "assistant", "content": ""}]}'], "messages[0].content"),
    ],
)
async def test_bad_data_is_refused_with_its_line_before_anything_starts(
    trainer: Any, make_spec: Spec, tmp_path: Path, lines: list[str], named: str
) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text("\n".join(lines), "utf-8")
    error = await refused(trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec(dataset=data))))
    assert error.reason is Reason.BAD_TRAINING_DATA
    assert named in error.message
    assert not (await trainer.ListTrainingJobs(pb.ListTrainingJobsRequest())).jobs


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("", "has no chat template"),
        # Drops what the assistant said in earlier turns and hides where the last reply begins.
        ("{% for m in messages %}{{ m['content'][::-1] }}{% endfor %}", "add generation marks"),
        ("{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}{% endfor %}", "never trained"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
    ],
)
async def test_a_template_that_does_not_show_the_replies_is_refused(
    trainer: Any, make_spec: Spec, base: Path, tmp_path: Path, template: str, named: str
) -> None:
    model = _copy(base, tmp_path / "model", template)
    error = await refused(trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(model=model))))
    assert error.reason is Reason.BAD_TRAINING_DATA
    assert named in error.message


def _copy(base: Path, place: Path, template: str) -> Path:
    place.mkdir()
    for file in base.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (place / "chat_template.jinja").unlink()
    if template:
        (place / "chat_template.jinja").write_text(template, "utf-8")
    return place


async def test_a_template_with_generation_marks_and_one_without_train_the_same_tokens(
    trainer: Any, make_spec: Spec, base: Path, tmp_path: Path
) -> None:
    marked = (
        "{{ bos_token }}{% for message in messages %}{{ message['role'][0] }}: "
        "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}\n{% endgeneration %}"
        "{% else %}{{ message['content'] }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}a: {% endif %}"
    )
    model = _copy(base, tmp_path / "model", marked)
    derived = await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec()))
    found = await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(model=model)))
    assert (derived.template, found.template) == ("derived", "marked")
    assert found.trained_tokens == derived.trained_tokens
    assert found.trained_tokens["user"] == 0
    assert found.end_of_turn_share == derived.end_of_turn_share == 1
    assert 0 < found.trained_tokens["assistant"] < found.total_tokens


async def test_what_is_cut_is_counted_and_too_much_is_refused(trainer: Any, make_spec: Spec) -> None:
    cut = await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(max_length=40)))
    assert 0 < cut.truncated_share < 1
    assert any("are cut to 40 tokens" in warning for warning in cut.warnings)
    error = await refused(trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(max_length=8))))
    assert "no token would be trained" in error.message


async def test_every_bad_field_of_a_spec_is_named_at_once(trainer: Any, make_spec: Spec) -> None:
    spec = make_spec(learning_rate=0, batching="random", schedule="steep", max_length=4)
    spec.dataset_digest = "md5:1"
    spec.lora.target_modules.append("lm_head")
    error = await refused(trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec)))
    assert {violation.field for violation in error.violations} == {
        "spec.dataset_digest",
        "spec.lora.target_modules",
        "spec.training.learning_rate",
        "spec.training.max_length",
        "spec.training.batching",
        "spec.training.schedule",
    }


async def test_modules_that_the_base_lacks_are_refused_and_not_passed_over(trainer: Any, make_spec: Spec) -> None:
    spec = make_spec()
    spec.lora.target_modules.extend(["q_proj", "c_attn"])
    error = await refused(trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec)))
    assert [violation.field for violation in error.violations] == ["spec.lora.target_modules[1]"]
    assert "q_proj" in error.message


async def test_another_content_than_the_digest_says_is_refused(trainer: Any, make_spec: Spec, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    line = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    data.write_text(json.dumps(line), "utf-8")
    spec = make_spec(dataset=data)
    data.write_text(json.dumps(line) + "\n", "utf-8")
    error = await refused(trainer.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec)))
    assert error.reason is Reason.BAD_TRAINING_DATA
    assert "dataset_digest" in error.message


async def test_files_outside_the_roots_and_missing_ones_are_refused(
    serve: Any, make_spec: Spec, base: Path, conversations: Path, tmp_path: Path
) -> None:
    async with serve(tmp_path, egress=Egress(artifact_roots=(base.parent,))) as stub:
        outside = await refused(stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=make_spec())))
        assert outside.reason is Reason.PATH_NOT_ALLOWED
        assert "spec.dataset" in outside.message
        inside = Path(shutil.copy(conversations, tmp_path))
        assert (await stub.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(dataset=inside)))).conversations
        spec = make_spec(dataset=inside)
        spec.dataset = str(tmp_path / "none.jsonl")
        missing = await refused(stub.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=spec)))
        assert missing.reason is Reason.DATASET_NOT_FOUND


async def test_the_preflight_says_what_a_job_computes_and_how_long_that_takes_here(
    serve: Any, make_spec: Spec, tmp_path: Path
) -> None:
    async with serve(tmp_path, estimate_time=True) as stub:
        found = await stub.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec(batching="plain")))
    # three passes, and padding
    assert found.computed_tokens > 3 * found.total_tokens * 0.9
    assert found.estimated_flops > 1e5 * found.computed_tokens
    assert found.estimated_seconds > 0
    assert "through 1 and 2 of 2 layers were timed on cpu" in found.time_basis
    assert not (tmp_path / "training").exists() or not list((tmp_path / "training").glob("*/job.json"))


async def test_nothing_is_timed_where_the_settings_say_so(trainer: Any, make_spec: Spec) -> None:
    found = await trainer.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec()))
    assert found.computed_tokens
    assert not found.HasField("estimated_seconds")
    assert not found.time_basis
