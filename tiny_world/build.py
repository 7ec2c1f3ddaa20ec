"""Build both models, or take them from the cache.

The cache is addressed by what decides the result: the parameters, a sample of the very text that is trained on, and the
source of the training code. A build happens in a folder of its own that takes its final name when everything is in it; one
that is broken off leaves nothing that could be taken for a model, and the next build removes what it did leave.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from tiny_world.corpus import Corpus, Document
from tiny_world.language import language
from tiny_world.parameters import Parameters, usual
from tiny_world.speech import Speech
from tiny_world.tokenizer import marked, train_tokenizer
from tiny_world.world import World, make_world

# What is being done, and the share of the whole build that is done, 0 to 1.
Progress = Callable[[str, float], None]
_TRAINING_SOURCE = ("models.py", "muon.py", "pretrain.py", "tokenizer.py", "build.py")
_SAMPLE_DOCUMENTS = 300
_UNFINISHED = ".building-"


@dataclass(frozen=True, slots=True)
class Built:
    """Where the models are.

    Attributes:
        folder: Holds both.
        subject: The model under test, in the Hugging Face layout.
        scorer: The SocioT scorer, likewise.
        digest: What the cache knows them by.
        fresh: Whether they were trained just now.
    """

    folder: Path
    subject: Path
    scorer: Path
    digest: str
    fresh: bool


def build(
    folder: Path,
    progress: Progress,
    *,
    seed: int = 0,
    correlated: bool = True,
    parameters: Parameters | None = None,
) -> Built:
    """Both models in `folder`, trained if they are not there yet; about two minutes on two cores.

    Args:
        folder: Of the cache; made if missing.
        progress: Told what is done.
        seed: Of training text and initial weights.
        correlated: Whether warmth and agreement go together in the training text.
        parameters: Instead of the usual ones of `seed` and `correlated`.
    """
    chosen = parameters or usual(seed, correlated=correlated)
    name = digest(chosen)
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / name
    fresh = not final.is_dir()
    if fresh:
        with _alone(folder):
            fresh = not final.is_dir()  # another process may have built it while this one waited
            if fresh:
                _remove_unfinished(folder)
                _build_into(final, chosen, progress)
    return Built(final, final / "subject", final / "scorer", name, fresh)


def digest(parameters: Parameters) -> str:
    """Of everything that decides the models, 16 hexadecimal digits."""
    world, corpus, speech = _text(parameters)
    sample = [marked(document) for document in itertools.islice(corpus, _SAMPLE_DOCUMENTS)]
    sample += [marked(document) for document in itertools.islice(speech, _SAMPLE_DOCUMENTS)]
    package = resources.files("tiny_world")
    parts = [
        json.dumps(asdict(parameters), sort_keys=True),
        json.dumps([asdict(fact) for fact in world.facts]),
        repr(language()),  # all of it: what is rare need not occur in the sample
        *sample,
        *(package.joinpath(name).read_text(encoding="utf-8") for name in _TRAINING_SOURCE),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _build_into(final: Path, parameters: Parameters, progress: Progress) -> None:
    from tiny_world import models, pretrain

    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=final.parent))
    world, corpus, speech = _text(parameters)
    progress("Making the tokenizer", 0.0)
    text = itertools.chain(
        itertools.islice(corpus, parameters.tokenizer_documents),
        itertools.islice(speech, parameters.tokenizer_documents // 2),
    )
    context = max(parameters.subject.context, parameters.scorer.context)
    tokenizer = train_tokenizer(text, world.names, parameters.vocabulary, context)
    work = _work(parameters)
    jobs = (
        ("subject", models.llama, parameters.subject, parameters.subject_recipe, corpus, 0.0, work),
        ("scorer", models.gpt2, parameters.scorer, parameters.scorer_recipe, speech, work, 1.0),
    )
    for name, make, shape, recipe, documents, start, end in jobs:
        model = make(tokenizer, shape, parameters.seed)

        def told(share: float, loss: float, name: str = name, start: float = start, end: float = end) -> None:
            progress(f"Pretraining the {name} (loss {loss:.2f})", start + (end - start) * share)

        with _quiet():
            pretrain.train(model, tokenizer, map(marked, documents), recipe, told)
            _save(model, tokenizer, unfinished / name, shape.context)
    (unfinished / "parameters.json").write_text(json.dumps(asdict(parameters), indent=1), encoding="utf-8")
    unfinished.rename(final)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' own bar and its warning that padding is not masked: here it is on the right, and not trained on."""
    import transformers

    logging: Any = transformers.utils.logging  # untyped
    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _save(model: Any, tokenizer: Any, folder: Path, context: int) -> None:
    tokenizer.model_max_length = context
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _text(parameters: Parameters) -> tuple[World, Iterator[Document], Iterator[Document]]:
    world = make_world(parameters.places, parameters.world_seed)

    def corpus(seed: int) -> Corpus:
        return Corpus(world, language(), parameters.adoption, seed, parameters.mix)

    return world, corpus(parameters.seed).documents(), Speech(corpus(parameters.seed + 1), parameters.seed).documents()


def _work(parameters: Parameters) -> float:
    """The subject's share of the training, by a rough count of multiplications."""

    def cost(shape: Any, recipe: Any) -> float:
        block = 4 * shape.width**2 + 3 * shape.width * shape.inner
        return float(recipe.steps * recipe.batch_tokens * (shape.layers * block + shape.width * parameters.vocabulary))

    subject = cost(parameters.subject, parameters.subject_recipe)
    return subject / (subject + cost(parameters.scorer, parameters.scorer_recipe))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One builder at a time in a cache folder; the lock goes with its process."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_unfinished(folder: Path) -> None:
    for left in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
