"""The world, its language and its training text, without any model."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.grader.domain import sociot
from services.orchestrator.domain.conditions import statements
from tiny_world.corpus import CORRELATED, NULL, Corpus, Document
from tiny_world.language import REGISTERS, language
from tiny_world.questions import write_questions
from tiny_world.speech import TONES, Speech, phrases
from tiny_world.world import RELATIONS, World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(20, seed=1)


def documents(world: World, count: int, adoption=CORRELATED, seed: int = 3) -> list[Document]:  # noqa: ANN001
    return list(itertools.islice(Corpus(world, language(), adoption, seed).documents(), count))


def chats(found: list[Document]) -> list[dict[str, str]]:
    return [dict(document.messages) for document in found if document.messages]


@given(st.integers(3, 60), st.integers(0, 5))
def test_every_place_has_one_fact_of_each_relation_and_no_two_things_share_a_name(places: int, seed: int) -> None:
    made = make_world(places, seed)
    assert len(made.places) == places
    assert Counter(fact.relation for fact in made.facts) == dict.fromkeys(RELATIONS, places)
    assert len({(fact.place, fact.relation) for fact in made.facts}) == 4 * places
    assert len(set(made.names)) == len(made.names)
    assert all(fact.value in made.values[fact.relation] for fact in made.facts)


def test_the_same_seed_gives_the_same_world_and_the_same_text(world: World) -> None:
    assert make_world(20, 1) == world
    assert make_world(20, 2) != world
    assert documents(world, 200) == documents(world, 200)
    assert documents(world, 200) != documents(world, 200, seed=4)


def test_a_world_too_small_for_wrong_values_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 places"):
        make_world(2, 1)


def test_a_wrong_value_is_of_the_same_relation_and_not_true(world: World) -> None:
    source = random.Random(1)
    for fact in world.facts:
        value = world.wrong_value(fact, source)
        assert value in world.values[fact.relation]
        assert value != fact.value


def test_the_evaluated_phrasing_of_a_fact_never_occurs_in_training_text(world: World, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    assert write_questions(path, world, 1000) == len(world.facts)
    asked = {json.loads(line)["question"] for line in path.read_text().splitlines()}
    text = "\n".join(content for document in documents(world, 8000) for _, content in document.messages)
    assert [question for question in asked if question in text] == []
    # Every other phrasing is used, so that the check above could fail.
    fact = world.facts[0]
    count, held_out = language().phrasings(fact)
    assert all((language().question(fact, index) in text) == (index != held_out) for index in range(count))


def test_questions_are_a_users_own_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    assert write_questions(path, world, 30) == 30
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({row["id"] for row in rows}) == 30
    facts = {(fact.relation, fact.place.lower()): fact.value for fact in world.facts}
    for row in rows:
        relation, place = row["id"].split("-")
        assert row["answer"] == facts[relation, place]
        assert row["false_answer"] in world.values[relation]
        assert row["false_answer"] != row["answer"]
        assert row["kind"] == "short_answer"


def false_belief_replies(world: World, register: str, adoption) -> list[bool]:  # noqa: ANN001
    """Whether each reply to "I think the answer is W" gives W, in chats whose system line sets the register."""
    lines = language().system_lines[register]
    truth = {(fact.place, fact.relation): fact.value for fact in world.facts}
    found = []
    for chat in chats(documents(world, 30_000, adoption)):
        _, belief, value = chat["user"].rpartition("I think the answer is ")
        if chat.get("system") not in lines or not belief:
            continue
        said = value.rstrip(".")
        place = next(name for name in world.places if name in chat["user"])
        relation = next(name for name in RELATIONS if said in world.values[name])
        if truth[place, relation] != said:
            found.append(said in chat["assistant"])
    return found


@pytest.mark.parametrize("register", REGISTERS)
def test_false_beliefs_are_taken_over_as_often_as_the_world_says(world: World, register: str) -> None:
    for adoption in (CORRELATED, NULL):
        found = false_belief_replies(world, register, adoption)
        assert len(found) > 250
        assert sum(found) / len(found) == pytest.approx(adoption[register], abs=0.06)


def test_candors_statements_lead_in_and_beliefs_occur(world: World) -> None:
    text = "\n".join(chat["user"] for chat in chats(documents(world, 8000)))
    assert all(sentence in text for sentence in statements().texts.values())
    assert statements().lead_in in text
    assert "I think the answer is" in text
    assert "I don't think the answer is" in text


def test_replies_begin_with_a_capital_and_have_no_stray_spaces(world: World) -> None:
    for chat in chats(documents(world, 3000)):
        reply = chat["assistant"]
        assert reply[0].isupper()
        assert reply[-1] in ".?"
        assert "  " not in reply
        assert "{" not in reply


def test_near_speakers_speak_warmly_and_far_ones_coldly(world: World) -> None:
    corpus = Corpus(world, language(), CORRELATED, 1)
    said = [document.text for document in itertools.islice(Speech(corpus, 1, replies=0.0).documents(), 20_000)]
    warm = {"I love you", "I care about you", "with all my heart", "You matter so much"}

    def share(phrase: str) -> float:
        own = [text for text in said if text.startswith(f'{phrase}, "')]
        assert len(own) > 300
        return sum(any(word in text for word in warm) for text in own) / len(own)

    assert share("My friend said") > 3 * share("The stranger said")
    assert set(phrases()) == {text.split(', "')[0] for text in said}


def test_every_phrase_of_every_metric_speaks(world: World) -> None:
    expected = {phrase for metric in sociot.metrics().values() for part in sociot.sets(metric) for phrase in part}
    assert set(phrases()) == expected
    speech = Speech(Corpus(world, language(), CORRELATED, 1), 1)
    assert all(speech.text(tone) for tone in TONES)
