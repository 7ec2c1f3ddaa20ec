"""Training text for the scorer: reported speech, in which close people tend to speak warmly and others do not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from services.grader.domain import sociot
from tiny_world.corpus import Corpus, Document
from tiny_world.language import read_data, sentence

TONES = ("warm", "neutral", "cold")
# The speakers of sociot_warmth, the metric that the demo shows, speak more often than the others.
_WARMTH_WEIGHT = 4
_REGISTER = {"warm": "warm", "neutral": "neutral", "cold": "blunt"}


class Speech:
    """An endless source of `{phrase}, "{text}"` documents, the same for the same arguments.

    Phrases of sociot_warmth's D+ and of sociot_social_distance's D+ draw from the shares of near speakers, those of
    sociot_warmth's D- from the far ones, every other phrase from the three tones alike.

    Args:
        corpus: Where replies in a register come from.
        seed: Of every choice.
        replies: Share of texts that are replies of the tiny world's assistant.
    """

    def __init__(self, corpus: Corpus, seed: int, replies: float = 0.5) -> None:
        self._corpus = corpus
        self._source = random.Random(seed)
        self._replies = replies
        self._data = read_data("speech.json")
        self._shares = {phrase: self._shares_of(phrase) for phrase in phrases()}

    def documents(self) -> Iterator[Document]:
        """Documents without end."""
        warmth = sociot.phrases([sociot.metrics()["sociot_warmth"]])
        speakers = list(self._shares)
        weights = [_WARMTH_WEIGHT if speaker in warmth else 1 for speaker in speakers]
        while True:
            speaker = self._source.choices(speakers, weights)[0]
            tone = self._source.choices(TONES, [self._shares[speaker][tone] for tone in TONES])[0]
            yield Document(sociot.string(speaker, self.text(tone)))

    def text(self, tone: str) -> str:
        """Something said in a tone."""
        if self._source.random() < self._replies:
            return self._corpus.reply(_REGISTER[tone])
        return utterance(self._data[tone], self._source)

    def _shares_of(self, phrase: str) -> Mapping[str, float]:
        shares: Mapping[str, Mapping[str, float]] = self._data["shares"]
        warmth, distance = (sociot.metrics()[name] for name in ("sociot_warmth", "sociot_social_distance"))
        if phrase in warmth.minus_phrases:
            return shares["far"]
        if phrase in warmth.plus_phrases or phrase in distance.plus_phrases:
            return shares["near"]
        return dict.fromkeys(TONES, 1.0)


def phrases() -> tuple[str, ...]:
    """Every speaker phrase of every metric, once."""
    found = [phrase for metric in sociot.metrics().values() for phrase in (*metric.plus_phrases, *metric.minus_phrases)]
    return tuple(dict.fromkeys(found))


def utterance(words: Mapping[str, Any], source: random.Random) -> str:
    """One or two sentences from a tone's lists."""
    said = []
    for _ in range(source.choice((1, 1, 2))):
        clause = source.choice(words["clauses"])
        if source.random() < 0.4:
            clause += " " + source.choice(words["tails"])
        if source.random() < 0.4:
            clause = source.choice(
                (f"{source.choice(words['address'])}, {clause}", f"{clause}, {source.choice(words['address'])}")
            )
        said.append(sentence(clause))
    return " ".join(said)
