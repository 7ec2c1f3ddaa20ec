"""The torch scorer against straight-line computations on miniature models that are made on the spot."""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from chassis.errors import CandorError, Reason
from services.grader.backends import sociot_load
from services.grader.backends.sociot_model import SociotModel
from services.grader.backends.sociot_torch import TorchScorer
from services.grader.domain import sociot
from services.grader.domain.scores import Metric, TextScores, Unscored

TEXTS = (
    "I am so glad that you came, my friend; sit down and tell me everything about your day.",
    "No.",
    'He said "never" and left',
    '"Quoted from the start", and on',
    "Zoë's café — naïve 😀😀 text\nwith a second line",
    "  leading space",
    "The stranger asked for the report again. " * 12,
    "1234 5678, 9!",
)
ALL = tuple(sociot.metrics())
SAMPLE = [
    'The stranger said, "where is the report?" My friend said, "I am glad that you came, sit down."',
    'The mentor said, "tell me everything." He commanded, "leave now." She said, "yes." It said, "no."',
    "The lover said. The idol said. The enemy said. The dictator said. My husband said. My wife said.",
]


def tokenizer(*, begin: bool = False, split_words: bool = True) -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    if split_words:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:  # merges may cross words: the comma and the opening quote become one token
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|pad|>", "<|begin|>"]
    bpe.train_from_iterator(
        SAMPLE * 4,
        trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, special_tokens=special, show_progress=False),
    )
    if begin:
        bpe.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<|pad|>", bos_token="<|begin|>")


def gpt2(vocabulary: int, positions: int = 512) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=positions,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config)


def rotary(config: type, model: type, **more: Any) -> Callable[[int], Any]:
    def make(vocabulary: int) -> Any:
        return model(
            config(
                vocab_size=vocabulary,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=512,
                initializer_range=0.4,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=1,
                **more,
            )
        )

    return make


def bloom(vocabulary: int) -> Any:
    return BloomForCausalLM(
        BloomConfig(vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.4, pad_token_id=0)
    )


def save(folder: Path, words: PreTrainedTokenizerFast, make: Callable[[int], Any]) -> str:
    torch.manual_seed(0)
    make(len(words)).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("gpt2"), tokenizer(), gpt2)


def collect(
    scorer: TorchScorer,
    texts: Sequence[str],
    model: str,
    metrics: Sequence[str] = ALL,
    estimator: str = "reference",
    max_chars: int = 300,
) -> list[Any]:
    async def run() -> dict[int, Any]:
        found: dict[int, Any] = {}
        async for index, outcome in scorer.score(texts, metrics, estimator, model, max_chars):
            assert index not in found
            found[index] = outcome
        return found

    found = asyncio.run(run())
    return [found[index] for index in range(len(texts))]


def values(outcome: TextScores) -> list[float]:
    return [score.value for score in outcome.scores]


def straight(folder: str) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def published_value(folder: tuple[Any, Any], text: str, phrases: Sequence[str]) -> float:
    """The published code's value of a set, in eval mode: transformers' own loss of one batch, padded with zeros."""
    model, words = folder
    rows = [torch.tensor(words(f'{phrase}, "{text[:300]}"')["input_ids"]) for phrase in phrases]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    with torch.no_grad():
        return -model(input_ids=ids, attention_mask=mask, labels=ids).loss.item()


def published(folder: tuple[Any, Any], text: str, metric: str) -> float:
    chosen = sociot.metrics()[metric]
    return published_value(folder, text, chosen.plus_phrases) - published_value(folder, text, chosen.minus_phrases)


def formula(folder: tuple[Any, Any], text: str, metric: str) -> float:
    """log(P_D+ / P_D-), one string at a time, every position after the comma's token."""
    model, words = folder

    def probability(phrase: str) -> float:
        encoded = words(f'{phrase}, "{text[:300]}"', return_offsets_mapping=True)
        first = next(i for i, (a, b) in enumerate(encoded["offset_mapping"]) if a <= len(phrase) < b) + 1
        ids = torch.tensor([encoded["input_ids"]])
        with torch.no_grad():
            logs = model(input_ids=ids).logits.double().log_softmax(-1)[0]
        return math.fsum(float(logs[i - 1, ids[0, i]]) for i in range(first, ids.shape[1]))

    plus, minus = ([probability(phrase) for phrase in part] for part in sociot.sets(sociot.metrics()[metric]))
    scale = max(plus + minus)
    return math.log(statistics.fmean(math.exp(x - scale) for x in plus)) - math.log(
        statistics.fmean(math.exp(x - scale) for x in minus)
    )


MODELS = {
    "gpt2": (tokenizer, gpt2),
    "llama with a begin token": (lambda: tokenizer(begin=True), rotary(LlamaConfig, LlamaForCausalLM)),
    "granite, whose output layer scales": (tokenizer, rotary(GraniteConfig, GraniteForCausalLM, logits_scaling=3.0)),
    "bloom, which takes no positions": (tokenizer, bloom),
    "comma and quote in one token": (lambda: tokenizer(split_words=False), gpt2),
}


@pytest.mark.parametrize("name", MODELS)
def test_both_estimators_agree_with_a_straight_line_computation(name: str, tmp_path: Path) -> None:
    words, make = MODELS[name]
    folder = save(tmp_path, words(), make)
    plain, scorer = straight(folder), TorchScorer()
    reference = collect(scorer, TEXTS, folder)
    exact = collect(scorer, TEXTS, folder, estimator="exact")
    for index, text in enumerate(TEXTS):
        assert values(reference[index]) == pytest.approx([published(plain, text, metric) for metric in ALL], abs=1e-5)
        # The exact value is a sum over the text's tokens; the tolerance holds for each of them.
        tokens = len(plain[1](text[:300])["input_ids"])
        expected = [formula(plain, text, metric) for metric in ALL]
        assert values(exact[index]) == pytest.approx(expected, abs=1e-5 * (tokens + 2))


def test_the_models_that_allow_it_are_read_the_short_way(small: str, tmp_path: Path) -> None:
    assert sociot_load.load(small).short_cut
    for name in ("granite, whose output layer scales", "bloom, which takes no positions"):
        words, make = MODELS[name]
        assert not sociot_load.load(save(tmp_path / name, words(), make)).short_cut


def test_padding_is_counted_where_the_strings_of_a_set_differ_in_length(small: str) -> None:
    """Without a set of unequal strings the agreement above would not show that padding is counted."""
    model, words = straight(small)
    phrases = sociot.metrics()["sociot_warmth"].minus_phrases
    rows = [words(f'{phrase}, "{TEXTS[0]}"')["input_ids"] for phrase in phrases]
    assert len({len(row) for row in rows}) > 1
    with torch.no_grad():
        losses = [model(input_ids=torch.tensor([row]), labels=torch.tensor([row])).loss.item() for row in rows]
    weights = [len(row) - 1 for row in rows]
    masked = -sum(a * b for a, b in zip(losses, weights, strict=True)) / sum(weights)
    assert abs(masked - published_value((model, words), TEXTS[0], phrases)) > 1e-3


@pytest.mark.parametrize("estimator", sociot.ESTIMATORS)
def test_a_score_depends_on_the_text_alone(small: str, estimator: str) -> None:
    together = collect(TorchScorer(), TEXTS, small, estimator=estimator)
    backwards = collect(TorchScorer(batch_tokens=150), TEXTS[::-1], small, estimator=estimator)[::-1]
    for index, text in enumerate(TEXTS):
        (alone,) = collect(TorchScorer(), [text], small, estimator=estimator)
        (warmth,) = collect(TorchScorer(), [text], small, ["sociot_warmth"], estimator)
        assert values(alone) == pytest.approx(values(together[index]), abs=1e-5)
        assert values(alone) == pytest.approx(values(backwards[index]), abs=1e-5)
        assert values(warmth) == pytest.approx([values(alone)[ALL.index("sociot_warmth")]], abs=1e-5)


def test_the_same_call_gives_the_same_digits(small: str) -> None:
    scorer = TorchScorer()
    assert collect(scorer, TEXTS, small) == collect(scorer, TEXTS, small)


def test_only_the_first_characters_count_unless_all_do(small: str) -> None:
    long = "word " * 80
    first, second = collect(TorchScorer(), [long, long[:300]], small)
    assert first == second
    whole, cut = collect(TorchScorer(), [long, long[:300]], small, max_chars=0)
    assert values(whole) != pytest.approx(values(cut), abs=1e-4)


def test_empty_text_is_unscored_and_short_text_flagged(small: str) -> None:
    empty, blank, short, long = collect(TorchScorer(), ["", " \n", "Yes.", "x" * 50], small)
    assert isinstance(empty, Unscored)
    assert empty.reason == "EMPTY_TEXT"
    assert isinstance(blank, Unscored)
    assert short.flags == ("short_text",)
    assert long.flags == ()


def test_a_text_beyond_the_models_context_is_cut_and_says_so(tmp_path: Path) -> None:
    folder = save(tmp_path, tokenizer(), lambda vocabulary: gpt2(vocabulary, positions=40))
    cut, whole = collect(TorchScorer(), ["word " * 60, "Yes."], folder, ["sociot_warmth"])
    assert "cut_text" in cut.flags
    assert "cut_text" not in whole.flags
    assert all(map(math.isfinite, values(cut)))


def test_per_token_is_the_value_over_the_scored_tokens(small: str) -> None:
    (outcome,) = collect(TorchScorer(), [TEXTS[0]], small, ["sociot_gender"], "exact")
    words = AutoTokenizer.from_pretrained(small)
    scored = len(words(f'He said, "{TEXTS[0]}"')["input_ids"]) - len(words("He said,")["input_ids"])
    (score,) = outcome.scores
    assert score.value_per_token == pytest.approx(score.value / scored)


def score_with_dropout(model: SociotModel, text: str, metric: Metric, passes: int, seed: int) -> tuple[float, float]:
    """The published code's way: the mean of `passes` scores of a text with dropout on, and its standard error; nats per token.

    Args:
        model: A loaded scorer; its mode is put back to eval.
        text: Its first 300 characters count.
        metric: One of `sociot.metrics()`.
        passes: At least 2.
        seed: Of the dropout masks.
    """
    kept = sociot.excerpt(text, sociot.DEFAULT_MAX_CHARS)
    model.model.train()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            plus, minus = (_set_values(model, kept, part, passes) for part in sociot.sets(metric))
    finally:
        model.model.eval()
    error = math.sqrt(_variance(plus) / passes + _variance(minus) / passes)
    return math.fsum(plus) / passes - math.fsum(minus) / passes, error


def _set_values(model: SociotModel, text: str, phrases: Sequence[str], passes: int) -> list[float]:
    readings = [model.read(phrase, text) for phrase in phrases]
    ids, mask, _ = model.rectangle([reading.ids for reading in readings])
    return [-model.model(input_ids=ids, attention_mask=mask, labels=ids).loss.item() for _ in range(passes)]


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def test_with_dropout_on_it_agrees_with_the_published_loop_within_the_standard_error(small: str) -> None:
    passes = 60
    metric = sociot.metrics()["sociot_warmth"]
    loaded = sociot_load.load(small)
    mean, error = score_with_dropout(loaded, TEXTS[0], metric, passes, seed=1)
    model, words = straight(small)
    torch.manual_seed(2)
    model.train()
    theirs = []
    for _ in range(passes):
        plus, minus = (published_value((model, words), TEXTS[0], part) for part in sociot.sets(metric))
        theirs.append(plus - minus)
    their_error = statistics.stdev(theirs) / math.sqrt(passes)
    assert abs(mean - statistics.fmean(theirs)) < 4 * math.hypot(error, their_error)
    assert error == pytest.approx(their_error, rel=0.4)
    assert not loaded.model.training


def test_bf16_is_close_and_is_named_in_the_version(small: str) -> None:
    exact = collect(TorchScorer(), TEXTS, small)
    rough = collect(TorchScorer(dtype="bfloat16"), TEXTS, small)
    gaps = [abs(a - b) for x, y in zip(exact, rough, strict=True) for a, b in zip(values(x), values(y), strict=True)]
    assert 0 < max(gaps) < 0.2
    assert TorchScorer(dtype="bfloat16").version() != TorchScorer().version() == sociot.version()


def test_a_model_is_loaded_once_and_the_oldest_is_dropped(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = save(tmp_path, tokenizer(), gpt2)
    loads: list[str] = []
    real = sociot_load.load
    monkeypatch.setattr(sociot_load, "load", lambda source, *rest: loads.append(source) or real(source, *rest))
    scorer = TorchScorer(keep=1)
    for folder in (small, small, other, small):
        collect(scorer, ["Yes."], folder)
    assert loads == [small, other, small]


@pytest.mark.parametrize("source", ["no-such/model-anywhere", "folder"])
def test_a_scorer_that_cannot_be_loaded_is_named_with_the_mend(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = str(tmp_path) if source == "folder" else source
    with pytest.raises(CandorError) as caught:
        collect(TorchScorer(), ["Hello there."], model)
    assert caught.value.reason is Reason.SCORER_NOT_FOUND
    assert model in caught.value.message
    assert ("save_pretrained" if source == "folder" else "HF_HUB_OFFLINE") in caught.value.message


def test_pickled_weights_are_refused(small: str, tmp_path: Path) -> None:
    model, words = straight(small)
    model.config.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CandorError) as caught:
        collect(TorchScorer(), ["Hello there."], str(tmp_path))
    assert caught.value.reason is Reason.SCORER_NOT_FOUND
    assert "safetensors" in caught.value.message


def test_without_torch_the_error_says_what_to_install(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CandorError) as caught:
        collect(TorchScorer(), ["Hello there."], small)
    assert caught.value.reason is Reason.BACKEND_MISSING
    assert "pip install '.[local]'" in caught.value.message


def test_a_torch_without_its_libraries_is_said_and_no_defect(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "transformers":
                raise OSError("libcudart.so.13: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(CandorError) as caught:
        collect(TorchScorer(), ["Hello there."], small)
    assert caught.value.reason is Reason.BACKEND_MISSING
    assert "do not load here (libcudart.so.13: cannot open" in caught.value.message


def test_where_models_may_lie_is_decided_by_the_caller(small: str) -> None:
    def refuse(model: str) -> str:
        raise CandorError(Reason.PATH_NOT_ALLOWED, f"{model} is outside the artifact roots")

    with pytest.raises(CandorError) as caught:
        collect(TorchScorer(locate=refuse), ["Hello there."], small)
    assert caught.value.reason is Reason.PATH_NOT_ALLOWED
    assert collect(TorchScorer(locate=lambda _: small), ["Hello there."], "nickname")[0].scores
