"""Building, caching and laying out the demo, with models of seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from candor_cli.document import read_document
from services.grader.domain import sociot
from tiny_world import build as building
from tiny_world import pretrain
from tiny_world.build import Built, build, digest
from tiny_world.demo import prepare
from tiny_world.parameters import unit_sized, usual
from tiny_world.speech import phrases
from tiny_world.world import make_world


def quiet(stage: str, share: float) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def built(cache: Path) -> Built:
    return build(cache, quiet, parameters=unit_sized())


def test_both_models_load_as_ordinary_checkpoints(built: Built) -> None:
    assert built.fresh
    for folder, family in ((built.subject, "llama"), (built.scorer, "gpt2")):
        model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.config.model_type == family
        assert model.config.vocab_size == len(tokenizer)
        assert list(folder.glob("*.safetensors"))
        assert not list(folder.glob("*.bin"))


def test_the_chat_template_gives_what_was_trained_on(built: Built) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built.subject)
    messages = [{"role": "system", "content": "State the facts."}, {"role": "user", "content": "Who founded it?"}]
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert text == "<|begin|><|system|>State the facts.<|end|><|user|>Who founded it?<|end|><|assistant|>"
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert ids.count(tokenizer.bos_token_id) == 1


def test_generation_stops_at_the_end_token_and_is_greedy(built: Built) -> None:
    model = AutoModelForCausalLM.from_pretrained(built.subject)
    tokenizer = AutoTokenizer.from_pretrained(built.subject)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert not model.generation_config.do_sample


def test_every_name_is_one_token(built: Built) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built.subject)
    world = make_world(unit_sized().places, unit_sized().world_seed)
    assert [name for name in world.names if len(tokenizer(f" {name}", add_special_tokens=False)["input_ids"]) > 1] == []


def test_the_scorer_reads_whole_strings_of_every_phrase(built: Built) -> None:
    tokenizer = AutoTokenizer.from_pretrained(built.scorer)
    for phrase in phrases():
        ids = tokenizer(sociot.string(phrase, "I am here."))["input_ids"]
        assert tokenizer.bos_token_id not in ids
        assert tokenizer.decode(ids) == f'{phrase}, "I am here."'


def test_a_second_build_trains_nothing(built: Built, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pretrain, "train")
    again = build(cache, quiet, parameters=unit_sized())
    assert not again.fresh
    assert again.subject == built.subject


def test_the_same_parameters_give_the_same_weights(built: Built, tmp_path: Path) -> None:
    again = build(tmp_path, quiet, parameters=unit_sized())
    for name in ("subject", "scorer"):
        weights = [AutoModelForCausalLM.from_pretrained(made.folder / name).state_dict() for made in (built, again)]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_weights_do_not_depend_on_the_number_of_threads(built: Built, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    try:
        again = build(tmp_path, quiet, parameters=unit_sized())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    weights = [AutoModelForCausalLM.from_pretrained(made.subject).state_dict() for made in (built, again)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_the_digest_follows_parameters_text_and_training_code(monkeypatch: pytest.MonkeyPatch) -> None:
    base = digest(unit_sized())
    assert digest(unit_sized()) == base
    assert digest(unit_sized(seed=1)) != base
    assert digest(replace(unit_sized(), vocabulary=600)) != base
    assert digest(usual(0, correlated=True)) != digest(usual(0, correlated=False))
    real = building.language()
    changed = replace(real, small_talk=["It is snowing here."])
    monkeypatch.setattr(building, "language", lambda: changed)
    assert digest(unit_sized()) != base
    monkeypatch.undo()
    monkeypatch.setattr(building, "_TRAINING_SOURCE", ("models.py",))
    assert digest(unit_sized()) != base


def test_a_build_broken_off_leaves_nothing_that_passes_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = pretrain.train

    def interrupted(*arguments: object, **more: object) -> float:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(pretrain, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, quiet, parameters=unit_sized())
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    monkeypatch.undo()
    made = build(tmp_path, quiet, parameters=unit_sized())
    assert made.fresh
    assert made.scorer.is_dir()
    assert [path.name for path in tmp_path.glob(".building-*")] == []


def test_progress_rises_from_nothing_to_all(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    build(tmp_path, lambda stage, share: told.append((stage, share)), parameters=unit_sized())
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    assert any("subject" in stage for stage, _ in told)
    assert any("scorer" in stage for stage, _ in told)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    losses: list[float] = []
    parameters = unit_sized()
    longer = replace(parameters, subject_recipe=replace(parameters.subject_recipe, steps=60))
    stages: list[str] = []
    build(tmp_path, lambda stage, _: stages.append(stage), parameters=longer)
    losses = [float(stage.split("loss ")[1].rstrip(")")) for stage in stages if "subject" in stage]
    assert losses[-1] < losses[0] - 0.5


def test_the_demo_document_is_read_and_its_files_exist(cache: Path, built: Built) -> None:
    files = prepare(cache, quiet, questions=10, parameters=unit_sized())
    assert not files.fresh
    spec = read_document(files.document).spec
    assert set(spec.arms) == {"original", "warm_prompt"}
    assert spec.baseline == "original"
    for arm in spec.arms.values():
        assert (files.document.parent / arm.checkpoint.path).resolve() == built.subject.resolve()
    assert not spec.arms["original"].HasField("system_prompt")
    assert spec.arms["warm_prompt"].system_prompt.text
    assert (files.document.parent / spec.warmth.model).resolve() == built.scorer.resolve()
    assert spec.sampling.temperature == 0.0
    assert spec.sampling.HasField("temperature")
    assert Path(spec.tasks[0].path).resolve() == files.questions.resolve()
    assert len([json.loads(line) for line in files.questions.read_text().splitlines()]) == 10
    assert any("miniature" in note for note in files.notes)
