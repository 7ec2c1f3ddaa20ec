"""What is particular to checkpoints: agreement with the library's own loop, limits, broken folders."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint
from services.inference.backends.transformers import TransformersBackend
from services.inference.backends.transformers.engine import Engine, TooLargeError
from services.inference.domain.model import Checkpoint, ModelSpec, Prompt, Reply, Sampling
from services.inference.ports import Subject

GREEDY = Sampling(temperature=0.0, max_tokens=24)


def prompt(text: str, seed: int = 1) -> Prompt:
    return Prompt(messages=(("user", text),), seed=seed)


@asynccontextmanager
async def subject(folder: Path, **options: Any) -> AsyncIterator[Subject]:
    backend = TransformersBackend(Guard(Egress.embedded()), device="cpu", torch_threads=1, **options)
    found = await backend.prepare(ModelSpec(source=Checkpoint(path=str(folder))), "")
    try:
        yield found
    finally:
        await found.close()
        await backend.close()


async def outcomes(found: Subject, prompts: list[Prompt], sampling: Sampling) -> list[Reply | CandorError]:
    return [outcome for _, outcome in sorted([pair async for pair in found.generate(prompts, sampling)])]


async def failure(folder: Path) -> CandorError:
    with pytest.raises(CandorError) as caught:
        async with subject(folder) as found:
            await outcomes(found, [prompt("hi")], GREEDY)
    return caught.value


async def test_greedy_replies_equal_the_librarys_own_loop(checkpoint: Path) -> None:
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(checkpoint)
    model = library.AutoModelForCausalLM.from_pretrained(checkpoint)
    texts = ["a", "what is it?", "x" * 40, "tell me more about " + "y" * 25]
    async with subject(checkpoint, batch_rows=3) as found:
        ours = await outcomes(found, [prompt(text) for text in texts], GREEDY)
    for text, outcome in zip(texts, ours, strict=True):
        tokens = tokenizer(f"<s>u: {text}\na: ", add_special_tokens=False, return_tensors="pt")
        output = model.generate(**tokens, max_new_tokens=24, do_sample=False)[0, tokens["input_ids"].shape[1] :]
        expected = tokenizer.decode(output, skip_special_tokens=True).rstrip("\N{REPLACEMENT CHARACTER}")
        if isinstance(outcome, Reply):
            assert (outcome.text, outcome.usage.completion_tokens) == (expected, len(output))
            assert outcome.usage.prompt_tokens == tokens["input_ids"].shape[1]
        else:
            assert not expected.strip()
    assert any(isinstance(outcome, Reply) for outcome in ours)


async def test_a_reply_ends_at_its_limit_and_says_so(checkpoint: Path) -> None:
    async with subject(checkpoint) as found:
        replies = await outcomes(
            found, [prompt("go on", seed) for seed in range(30)], Sampling(temperature=1.5, max_tokens=8)
        )
    kinds = {(reply.finish_reason, reply.usage.completion_tokens) for reply in replies if isinstance(reply, Reply)}
    assert ("length", 8) in kinds
    assert all(count is not None and count <= 8 for _, count in kinds)


async def test_a_prompt_that_does_not_fit_is_its_own_error(checkpoint: Path) -> None:
    async with subject(checkpoint) as found:
        long, short = await outcomes(found, [prompt("x" * 300), prompt("y")], Sampling(max_tokens=4))
        nearly = await outcomes(found, [prompt("x" * 245, seed) for seed in range(8)], Sampling(max_tokens=100))
    assert isinstance(long, CandorError)
    assert long.reason is Reason.CONTEXT_TOO_LONG
    assert "256" in long.message
    assert not isinstance(short, CandorError) or short.reason is not Reason.CONTEXT_TOO_LONG
    assert all(reply.usage.completion_tokens <= 4 for reply in nearly if isinstance(reply, Reply))  # type: ignore[operator]


async def test_a_conversation_that_the_template_refuses_is_its_own_error(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "strict"))
    (folder / "chat_template.jinja").write_text(
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}u: hi a: "
    )
    refused = Prompt(messages=(("system", "be kind"), ("user", "hi")))
    async with subject(folder) as found:
        first, second = await outcomes(found, [refused, prompt("hi")], Sampling(max_tokens=20))
    assert isinstance(first, CandorError)
    assert "no system role here" in first.message
    assert isinstance(second, Reply)


async def test_a_batch_that_does_not_fit_is_asked_again_in_halves(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [prompt("q" * (index + 1), index) for index in range(9)]
    sampling = Sampling(max_tokens=12)
    async with subject(checkpoint, batch_rows=9) as found:
        expected = await outcomes(found, prompts, sampling)

    sizes = []
    run = Engine.run

    def small_memory(self: Engine, rows: Any, *rest: Any) -> None:
        sizes.append(len(rows))
        if len(rows) > 2 or any(row.index == 8 for row in rows):
            raise TooLargeError
        run(self, rows, *rest)

    monkeypatch.setattr(Engine, "run", small_memory)
    async with subject(checkpoint, batch_rows=9) as found:
        *most, last = await outcomes(found, prompts, sampling)
    assert [texts(one) for one in most] == [texts(one) for one in expected[:8]]
    assert isinstance(last, CandorError)
    assert "memory" in last.message
    assert sizes[:3] == [9, 4, 2]


def texts(outcome: Reply | CandorError) -> str:
    return outcome.text if isinstance(outcome, Reply) else outcome.reason.name


async def test_a_model_that_computes_nan_is_an_error_and_not_a_reply(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(checkpoint, tmp_path / "nan"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    error = await failure(folder)
    assert error.reason is Reason.BAD_CHECKPOINT
    assert "NaN" in error.message


async def test_weights_that_are_missing_are_named_and_never_random(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(checkpoint, tmp_path / "holes"))
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    error = await failure(folder)
    assert error.reason is Reason.BAD_CHECKPOINT
    assert "up_proj" in error.message


async def test_broken_weights_are_named(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    assert (await failure(folder)).reason is Reason.BAD_CHECKPOINT


async def test_code_in_a_folder_is_never_run(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "code"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(
        f"open({str(tmp_path / 'pwned')!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n"
    )
    assert (await failure(folder)).reason is Reason.BAD_CHECKPOINT
    assert not (tmp_path / "pwned").exists()


async def test_a_model_without_end_token_is_named(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "endless"))
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        value = json.loads((folder / name).read_text())
        value["eos_token_id" if "tokenizer" not in name else "eos_token"] = None
        (folder / name).write_text(json.dumps(value))
    error = await failure(folder)
    assert "eos_token_id" in error.message


async def test_changed_files_are_another_version_and_identity(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "swapped"))
    spec = ModelSpec(source=Checkpoint(path=str(folder)))
    backend = TransformersBackend(Guard(Egress.embedded()), device="cpu", torch_threads=1)
    before, first = await backend.fingerprint(spec), await backend.prepare(spec, "")
    make_tiny_checkpoint(folder, seed=1)
    after, second = await backend.fingerprint(spec), await backend.prepare(spec, "")
    await backend.close()
    assert before != after
    assert first.identity.components["weights"] != second.identity.components["weights"]
    assert first.identity.components["tokenizer"] == second.identity.components["tokenizer"]
