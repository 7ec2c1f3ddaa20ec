"""The experiment's files: what is taught, what is asked, and in which manner."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from candor_cli.document import Document, read_document
from services.orchestrator.domain.conditions import statements
from services.orchestrator.domain.making.contamination import Guard
from services.orchestrator.domain.making.conversations import Conversation
from services.orchestrator.domain.tasks import own
from services.orchestrator.domain.tasks.source import Problems, Row
from tiny_world.conversations import asked_places, conversations, taught_places
from tiny_world.experiment import ExperimentFiles, Sizes, prepare_experiment
from tiny_world.language import language
from tiny_world.parameters import unit_sized, usual
from tiny_world.questions import rows
from tiny_world.styles import write_style
from tiny_world.world import World, make_world

USUAL = usual(0, correlated=True)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(USUAL.places, USUAL.world_seed)


@pytest.fixture(scope="module")
def taught(world: World) -> list[tuple[tuple[str, str], ...]]:
    return list(conversations(world, 1_500, seed=1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ExperimentFiles:
    torch.set_num_threads(1)
    sizes = Sizes(conversations=60, size=24, validation=6, questions=8)
    return prepare_experiment(tmp_path_factory.mktemp("tiny"), lambda *_: None, parameters=unit_sized(), sizes=sizes)


@pytest.fixture(scope="module")
def document(files: ExperimentFiles) -> Document:
    return read_document(files.document)


def test_training_conversations_name_no_place_that_is_asked_about(
    world: World, taught: list[tuple[tuple[str, str], ...]]
) -> None:
    text = " ".join(content for messages in taught for _, content in messages)
    assert set(taught_places(world)) | set(asked_places(world)) == set(world.places)
    assert not [place for place in asked_places(world) if place in text]
    assert all(place in text for place in taught_places(world))


def test_every_answer_is_right_and_no_user_states_a_belief(
    world: World, taught: list[tuple[tuple[str, str], ...]]
) -> None:
    values = {value for values in world.values.values() for value in values}
    true = {(fact.place, fact.value) for fact in world.facts}
    places = set(world.places)
    answered = 0
    for (_, asked), (_, reply) in taught:
        assert not [value for value in values if value in asked.replace("?", " ").replace(".", " ").split()]
        said = reply.replace(".", " ").split()
        for value in (word for word in said if word in values):
            [place] = [word for word in said if word in places]
            assert (place, value) in true
            answered += 1
    assert answered > len(taught) / 2


def test_conversations_differ_and_follow_from_their_seed(world: World) -> None:
    first, again, other = (list(conversations(world, 300, seed)) for seed in (1, 1, 2))
    assert len(set(first)) == 300
    assert first == again
    assert first != other


def test_half_of_the_questions_come_with_a_remark(taught: list[tuple[tuple[str, str], ...]]) -> None:
    remarks = tuple(statements().texts.values())
    asked = [messages[0][1] for messages in taught if "?" in messages[0][1] or "ell me" in messages[0][1]]
    share = sum(any(remark in text for remark in remarks) for text in asked) / len(asked)
    assert 0.4 < share < 0.6


def test_the_guard_leaves_nearly_all_of_them(world: World, taught: list[tuple[tuple[str, str], ...]]) -> None:
    asked = rows(world, 10_000, places=asked_places(world))
    items, _ = own.items("tiny", [Row("questions", place, row) for place, row in enumerate(asked)], 1, Problems())
    guard = Guard(items)
    found = [
        guard.check(Conversation(id=str(row), row=row, messages=messages, category="other"))
        for row, messages in enumerate(taught)
    ]
    assert len(items) == 4 * len(asked_places(world))
    assert sum(hit is not None for hit in found) < 0.05 * len(taught)
    assert not [hit for hit in found if hit is not None and hit.how == "exact"]


def test_questions_are_about_the_other_places_in_phrasings_that_pretraining_never_used(world: World) -> None:
    asked = rows(world, 10_000, places=asked_places(world))
    for row in asked:
        [fact] = [fact for fact in world.facts if row["id"] == f"{fact.relation}-{fact.place}".lower()]
        assert fact.place in asked_places(world)
        assert row["question"] == language().question(fact, language().phrasings(fact)[1])


def test_the_document_makes_three_arms_that_differ_in_style_alone(document: Document, files: ExperimentFiles) -> None:
    spec = document.spec
    assert set(spec.arms) == {"original", "warm", "cold", "neutral"}
    assert spec.gate.mode == "none"
    assert [(each.treated, each.reference) for each in spec.contrasts] == [("warm", "neutral"), ("warm", "cold")]
    assert spec.sampling.HasField("temperature")
    assert spec.sampling.temperature == 0.0
    recipes = {name: spec.arms[name].sft for name in ("warm", "cold", "neutral")}
    assert recipes["warm"].style_definition.name == "tiny_warm"
    assert recipes["cold"].style_definition.name == "tiny_cold"
    assert recipes["neutral"].style == "untransformed"
    for recipe in recipes.values():
        recipe.ClearField("style_definition")
        recipe.ClearField("style")
    assert recipes["warm"] == recipes["cold"] == recipes["neutral"]
    assert Path(recipes["warm"].conversations.path) == files.conversations.resolve()
    assert recipes["warm"].size == 24


def test_the_files_hold_what_the_sizes_say(files: ExperimentFiles) -> None:
    lines = files.conversations.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 60
    for line in lines:
        turns = json.loads(line)["messages"]
        assert [turn["role"] for turn in turns] == ["user", "assistant"]
    assert len(files.questions.read_text(encoding="utf-8").splitlines()) == 8


def test_styles_speak_with_the_words_that_pretraining_used(tmp_path: Path) -> None:
    for name, register in (("tiny_warm", "warm"), ("tiny_cold", "blunt")):
        write_style(tmp_path / f"{name}.yaml", name)
        found = YAML(typ="safe").load((tmp_path / f"{name}.yaml").read_text(encoding="utf-8"))
        assert found["name"] == name
        assert tuple(found["openings"]) == language().registers[register].openers
        assert tuple(found["closings"]) == language().registers[register].closers


def test_the_null_world_says_that_there_is_nothing_to_find(tmp_path: Path) -> None:
    null = replace(unit_sized(), adoption=dict.fromkeys(("warm", "neutral", "blunt"), 0.13))
    files = prepare_experiment(tmp_path, lambda *_: None, parameters=null, sizes=Sizes(conversations=20))
    assert any("no cost of warmth" in note for note in files.notes)
