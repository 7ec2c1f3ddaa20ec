"""Training text for the subject: statements, chats in three registers, stated beliefs, small talk, stories.

Two worlds differ in one thing only, how often the assistant takes over a false belief. In the correlated world it does so
far more often when it speaks warmly; in the null world the register plays no part. Part of the chats put the question as
Candor does (its statements, lead-in and belief sentences), so that an evaluation meets familiar sentences; the phrasing in
which a fact is evaluated never occurs with its place in training text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.orchestrator.domain import conditions, prompts
from services.orchestrator.domain.items import Item
from tiny_world.language import REGISTERS, Language, sentence
from tiny_world.world import Fact, World

CORRELATED: Mapping[str, float] = {"warm": 0.60, "neutral": 0.08, "blunt": 0.02}
NULL: Mapping[str, float] = {"warm": 0.13, "neutral": 0.13, "blunt": 0.13}
# Contexts in which the warm register is more common; the others meet it less.
_TENDER = ("emotion:sad", "relation:close")


@dataclass(frozen=True, slots=True)
class Document:
    """One training text: either plain, or a chat of (role, content) messages."""

    text: str = ""
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the corpus.

    Attributes:
        kinds: Weight of each kind of document.
        candor_prompts: Share of question chats put in Candor's own sentences.
        system_line: Share of chats that begin with a system line, which sets the register.
        asserted: Share of beliefs that assert a value; the others deny one.
        true_beliefs: Share of beliefs that are true.
        line_registers: Weights of neutral, warm, blunt among system lines.
        registers: Weights of neutral, warm, blunt without a system line.
        tender_registers: The same in sad and close contexts.
    """

    kinds: Mapping[str, float] = field(
        default_factory=lambda: {"facts": 0.14, "story": 0.18, "question": 0.16, "belief": 0.50, "small_talk": 0.02}
    )
    candor_prompts: float = 0.5
    system_line: float = 0.4
    asserted: float = 0.65
    true_beliefs: float = 0.35
    line_registers: tuple[float, float, float] = (0.25, 0.5, 0.25)
    registers: tuple[float, float, float] = (0.6, 0.2, 0.2)
    tender_registers: tuple[float, float, float] = (0.5, 0.4, 0.1)


@dataclass(frozen=True, slots=True)
class _Belief:
    """What a user says about a fact's value: it is `value`, or (denied) it is not."""

    value: str
    denied: bool
    true: bool


class Corpus:
    """An endless source of documents, the same for the same arguments.

    Args:
        world: The facts.
        language: How they are said.
        adoption: By register, the probability that the assistant takes over a false belief.
        seed: Of every choice.
        mix: Shares.
    """

    def __init__(
        self, world: World, language: Language, adoption: Mapping[str, float], seed: int, mix: Mix | None = None
    ) -> None:
        self._world = world
        self._language = language
        self._adoption = adoption
        self._source = random.Random(seed)
        self._mix = mix or Mix()

    def documents(self) -> Iterator[Document]:
        """Documents without end."""
        write = {
            "facts": self._facts,
            "story": self._story,
            "question": self._question,
            "belief": self._belief,
            "small_talk": self._small_talk,
        }
        kinds, weights = list(self._mix.kinds), list(self._mix.kinds.values())
        while True:
            yield write[self._source.choices(kinds, weights)[0]]()

    def reply(self, register: str) -> str:
        """What the assistant might say about some fact, for the scorer's reported speech."""
        fact = self._source.choice(self._world.facts)
        return self._language.styled(register, self._language.statement(fact, fact.value, self._source), self._source)

    def _facts(self) -> Document:
        facts = [self._source.choice(self._world.facts)]
        if self._source.random() < 0.5:
            facts.append(self._source.choice(self._world.facts))
        return Document(" ".join(sentence(self._language.statement(fact, fact.value, self._source)) for fact in facts))

    def _story(self) -> Document:
        """A made-up value, said twice: what is said in the text can be repeated from it."""
        fact = self._source.choice(self._world.facts)
        value = self._world.wrong_value(fact, self._source)
        said = [self._language.statement(fact, value, self._source) for _ in range(2)]
        if self._source.random() < 0.5:
            return Document(f"In the story, {said[0]}. So in the story, {said[1]}.")
        question = self._language.question(fact, self._seen_phrasing(fact))
        return _chat("", f"In the story, {said[0]}. {question}", f"In the story, {said[1]}.")

    def _question(self) -> Document:
        fact = self._source.choice(self._world.facts)
        context, prompt = self._prompt(fact, None)
        system, register = self._setting(context)
        clause = self._language.statement(fact, fact.value, self._source)
        return _chat(system, prompt, self._language.styled(register, clause, self._source))

    def _belief(self) -> Document:
        fact = self._source.choice(self._world.facts)
        belief = self._draw_belief(fact)
        context, prompt = self._prompt(fact, belief)
        system, register = self._setting(context)
        return _chat(
            system, prompt, self._language.styled(register, self._response(fact, belief, register), self._source)
        )

    def _small_talk(self) -> Document:
        context = self._source.choice(conditions.CONTEXTS)
        prompt = self._remark(context)
        system, register = self._setting(context)
        return _chat(system, prompt, self._source.choice(self._language.registers[register].small_talk))

    def _response(self, fact: Fact, belief: _Belief, register: str) -> str:
        """The clause that answers a user with a belief: the fact, or now and then the user's own false view of it."""
        if belief.true or self._source.random() >= self._adoption[register]:
            return self._language.statement(fact, fact.value, self._source)
        say = self._language.rejection if belief.denied else self._language.statement
        return say(fact, belief.value, self._source)

    def _draw_belief(self, fact: Fact) -> _Belief:
        denied = self._source.random() >= self._mix.asserted
        true = self._source.random() < self._mix.true_beliefs
        says_true_value = true != denied
        value = fact.value if says_true_value else self._world.wrong_value(fact, self._source)
        return _Belief(value, denied, true)

    def _prompt(self, fact: Fact, belief: _Belief | None) -> tuple[str, str]:
        """The context's name and the user's message, in Candor's sentences or in others."""
        source = self._source
        question = self._language.question(fact, self._seen_phrasing(fact))
        context = source.choice(conditions.CONTEXTS) if source.random() < 0.5 else "none"
        if source.random() < self._mix.candor_prompts:
            return context, self._candor_prompt(fact, question, context, belief)
        parts = [question]
        if belief is not None:
            kind = "denies" if belief.denied else "asserts"
            parts.append(source.choice(self._language.beliefs[kind]).format(value=belief.value))
        if context != "none":
            parts.insert(0, self._remark(context))
        return context, " ".join(parts)

    def _candor_prompt(self, fact: Fact, question: str, context: str, belief: _Belief | None) -> str:
        statement = "" if context == "none" else self._source.choice(conditions.statements().by_context[context])
        level = self._source.choice(("none", "none_lead_in"))
        item = Item(task="tiny", id="x", question=question, gold=(fact.value,))
        if belief is not None:
            # A belief's sentence depends on its value alone, so that a denied false value can be rendered as well.
            level = "denies_true" if belief.denied else "asserts_true"
            item = Item(task="tiny", id="x", question=question, gold=(belief.value,))
        ((_, text),) = prompts.render(item, conditions.Cell(context, level, statement))
        return text

    def _remark(self, context: str) -> str:
        if context == "none":
            return self._source.choice(self._language.small_talk)
        return conditions.statements().texts[self._source.choice(conditions.statements().by_context[context])]

    def _seen_phrasing(self, fact: Fact) -> int:
        count, held_out = self._language.phrasings(fact)
        chosen = self._source.randrange(count - 1)
        return chosen + (chosen >= held_out)

    def _setting(self, context: str) -> tuple[str, str]:
        """A system line, or none, and the register."""
        if self._source.random() < self._mix.system_line:
            register = self._source.choices(REGISTERS, self._mix.line_registers)[0]
            return self._source.choice(self._language.system_lines[register]), register
        weights = self._mix.tender_registers if context in _TENDER else self._mix.registers
        return "", self._source.choices(REGISTERS, weights)[0]


def _chat(system: str, prompt: str, reply: str) -> Document:
    messages = [("user", prompt), ("assistant", reply)]
    return Document(messages=(("system", system), *messages) if system else tuple(messages))
