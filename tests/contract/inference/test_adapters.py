"""LoRA adapters on the transformers engine: one base in memory, the right adapter for each request, never merged."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from chassis.testing.tiny_checkpoint import make_tiny_adapter, make_tiny_checkpoint
from services.inference.backends.transformers import TransformersBackend, loading
from services.inference.domain.model import Checkpoint, ModelSpec, Prompt, Reply, Sampling

GREEDY = Sampling(temperature=0.0, max_tokens=16)
TEXTS = ["a", "what is it?", "x" * 40, "tell me more"]


def spec(base: Path, adapter: Path | None = None) -> ModelSpec:
    return ModelSpec(source=Checkpoint(path=str(base), adapter=str(adapter or "")))


@pytest.fixture
async def backend() -> AsyncIterator[TransformersBackend]:
    found = TransformersBackend(Guard(Egress.embedded()), device="cpu", torch_threads=1, max_adapters=2)
    yield found
    await found.close()


async def texts(backend: TransformersBackend, model: ModelSpec, asked: list[str] = TEXTS) -> list[str]:
    subject = await backend.prepare(model, "")
    prompts = [Prompt(messages=(("user", text),)) for text in asked]
    found = [outcome for _, outcome in sorted([pair async for pair in subject.generate(prompts, GREEDY)])]
    return [outcome.text if isinstance(outcome, Reply) else outcome.reason.name for outcome in found]


def expected(base: Path, adapter: Path) -> list[str]:
    """What peft's own model says, asked one by one."""
    import peft
    import transformers

    library: Any = transformers
    tokenizer = library.AutoTokenizer.from_pretrained(base)
    model: Any = peft.PeftModel.from_pretrained(library.AutoModelForCausalLM.from_pretrained(base), str(adapter))
    found = []
    for text in TEXTS:
        tokens = tokenizer(f"<s>u: {text}\na: ", add_special_tokens=False, return_tensors="pt")
        output = model.generate(**tokens, max_new_tokens=16, do_sample=False)[0, tokens["input_ids"].shape[1] :]
        reply = tokenizer.decode(output, skip_special_tokens=True).rstrip("\N{REPLACEMENT CHARACTER}")
        found.append(reply if reply.strip() else "EMPTY_REPLY")
    return found


async def test_an_adapters_replies_equal_pefts_own(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path]
) -> None:
    assert await texts(backend, spec(checkpoint, adapters[0])) == expected(checkpoint, adapters[0])


async def test_arms_of_one_base_share_it_and_do_not_touch_each_other(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = loading.load
    monkeypatch.setattr(loading, "load", lambda *found: loads.append(found) or load(*found))  # type: ignore[func-returns-value]
    arms = [None, *adapters]  # three adapters on an engine that keeps two
    first = [await texts(backend, spec(checkpoint, arm)) for arm in arms]
    again = [await texts(backend, spec(checkpoint, arm)) for arm in reversed(arms)]
    assert again[::-1] == first
    assert len({tuple(one) for one in first}) == len(arms)
    assert len(loads) == 1


async def test_requests_for_several_arms_at_once_each_get_their_own(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path]
) -> None:
    import asyncio

    arms = [None, *adapters] * 3
    alone = {arm: await texts(backend, spec(checkpoint, arm)) for arm in (None, *adapters)}
    together = await asyncio.gather(*(texts(backend, spec(checkpoint, arm)) for arm in arms))
    assert together == [alone[arm] for arm in arms]


async def test_the_adapter_is_part_of_the_identity_and_the_base_stays_itself(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path], tmp_path: Path
) -> None:
    base, one, two = [
        (await backend.prepare(spec(checkpoint, adapter), "")).identity for adapter in (None, *adapters[:2])
    ]
    assert len({base.digest, one.digest, two.digest}) == 3
    assert set(one.components) - set(base.components) == {"adapter", "form"}
    assert one.components["form"] == "adapter"
    assert {name: one.components[name] for name in base.components} == dict(base.components)
    moved = Path(shutil.copytree(adapters[0], tmp_path / "moved"))
    said = json.loads((moved / "adapter_config.json").read_text())
    said |= {"base_model_name_or_path": "elsewhere", "target_modules": said["target_modules"][::-1]}
    (moved / "adapter_config.json").write_text(json.dumps(said))
    assert (await backend.prepare(spec(checkpoint, moved), "")).identity.digest == one.digest
    (moved / "adapter_config.json").write_text(json.dumps(said | {"lora_alpha": 64}))
    assert (await backend.prepare(spec(checkpoint, moved), "")).identity.digest != one.digest


async def test_a_changed_adapter_is_another_version_and_answers_anew(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapters[0], tmp_path / "live"))
    before, replies = (
        await backend.fingerprint(spec(checkpoint, folder)),
        await texts(backend, spec(checkpoint, folder)),
    )
    make_tiny_adapter(checkpoint, folder, seed=9)
    assert await backend.fingerprint(spec(checkpoint, folder)) != before
    assert await texts(backend, spec(checkpoint, folder)) != replies


async def test_an_adapter_that_changes_between_hashing_and_loading_is_refused(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapters[0], tmp_path / "swapped"))
    subject = await backend.prepare(spec(checkpoint, folder), "")
    make_tiny_adapter(checkpoint, folder, seed=9)
    with pytest.raises(CandorError) as caught:
        await anext(subject.generate([Prompt(messages=(("user", "a"),))], GREEDY))
    assert caught.value.reason is Reason.IDENTITY_CHANGED


@pytest.mark.parametrize("shape", [{"hidden": 64}, {"layers": 3}])
async def test_an_adapter_of_another_base_is_named(
    backend: TransformersBackend, checkpoint: Path, tmp_path: Path, shape: dict[str, int]
) -> None:
    other = make_tiny_checkpoint(tmp_path / "other", **shape)
    adapter = make_tiny_adapter(other, tmp_path / "adapter")
    with pytest.raises(CandorError) as caught:
        await backend.prepare(spec(checkpoint, adapter), "")
    assert caught.value.reason is Reason.ADAPTER_MISMATCH
    assert caught.value.message.startswith("model.checkpoint.adapter: ")
    assert "_proj" in caught.value.message


async def test_an_adapter_that_peft_cannot_load_leaves_the_base_and_other_adapters_as_they_were(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapters[0], tmp_path / "ranks"))
    said = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(said | {"r": 2}))
    before = [await texts(backend, spec(checkpoint, arm)) for arm in (None, adapters[1])]
    with pytest.raises(CandorError) as caught:
        await texts(backend, spec(checkpoint, folder))
    assert caught.value.reason is Reason.ADAPTER_MISMATCH
    assert [await texts(backend, spec(checkpoint, arm)) for arm in (None, adapters[1])] == before


async def test_an_adapter_stays_inside_the_roots(checkpoint: Path, adapters: list[Path], tmp_path: Path) -> None:
    outside = Path(shutil.copytree(adapters[0], tmp_path / "outside"))
    link = checkpoint.parent / "link"
    link.symlink_to(outside)
    backend = TransformersBackend(Guard(Egress(artifact_roots=(checkpoint.parent,))), device="cpu", torch_threads=1)
    try:
        assert await backend.fingerprint(spec(checkpoint, adapters[0]))
        for folder in (outside, link):
            with pytest.raises(CandorError) as caught:
                await backend.fingerprint(spec(checkpoint, folder))
            assert caught.value.reason is Reason.PATH_NOT_ALLOWED
            assert "model.checkpoint.adapter" in caught.value.message
    finally:
        link.unlink()
        await backend.close()


async def test_a_living_adapter_is_found_alive(
    backend: TransformersBackend, checkpoint: Path, adapters: list[Path]
) -> None:
    check = await (await backend.prepare(spec(checkpoint, adapters[0]), "")).check(GREEDY)
    assert check.liveness is not None
    assert check.liveness.alive
    assert check.liveness.difference > 0.1 > check.liveness.floor
    assert check.liveness.probes >= 3


async def test_a_model_without_adapter_has_no_liveness(backend: TransformersBackend, checkpoint: Path) -> None:
    assert (await (await backend.prepare(spec(checkpoint), "")).check(GREEDY)).liveness is None


@pytest.mark.parametrize("broken", ["zero_adapter", "misnamed_adapter"])
async def test_an_adapter_that_changes_nothing_is_found_dead(
    backend: TransformersBackend, checkpoint: Path, broken: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(broken)
    check = await (await backend.prepare(spec(checkpoint, folder), "")).check(GREEDY)
    assert check.liveness is not None
    assert not check.liveness.alive
    assert await texts(backend, spec(checkpoint, folder)) == await texts(backend, spec(checkpoint))
