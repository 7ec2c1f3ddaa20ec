"""`python -m services.trainer.backends.process.timing FOLDER`: time a few steps of the job whose order lies in a folder.

The steps are those of TRL's trainer as jobs run it, on random tokens of the lengths asked for, through slices of the base
model with random weights: what a step takes depends on shapes and not on values, and no large file is read.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from services.trainer.backends.process.channel import Channel, to_parent
from services.trainer.backends.process.order import Order
from services.trainer.domain.labels import Example
from services.trainer.domain.schedule import Plan

_FILE = "timing.json"
_WARM_UP, _TIMED = 2, 3


@dataclass(frozen=True, slots=True)
class Asked:
    """Lengths of the conversations of a step, and layers of the slices that it goes through."""

    lengths: Sequence[int]
    depths: Sequence[int]

    def write(self, folder: Path) -> None:
        """Put it beside the order."""
        (folder / _FILE).write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, folder: Path) -> Asked:
        """From beside the order."""
        return cls(**json.loads((folder / _FILE).read_text("utf-8")))


def main(folder: Path) -> None:
    """Tell the seconds of a step for each slice."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    channel = to_parent()
    order, asked = Order.read(folder), Asked.read(folder)
    from services.trainer.backends.process.training import prepare_torch

    gpu = prepare_torch(order)
    for depth in asked.depths:
        channel.tell("timed", depth=depth, seconds=_seconds(order, folder, asked.lengths, depth, channel, gpu=gpu))


def _seconds(order: Order, folder: Path, lengths: Sequence[int], depth: int, channel: Channel, *, gpu: bool) -> float:
    """Median of a few steps after the first ones, which also set things up."""
    from services.trainer.backends.process.training import Course, make_trainer

    model = _slice(order, depth, gpu=gpu)
    steps = _WARM_UP + _TIMED
    examples = [_example(length, model.config.get_text_config().vocab_size) for length in lengths]
    shape = Plan(conversations=len(lengths), batch=len(lengths), steps=steps, checkpoints={}, warmup_steps=0)
    trainer = make_trainer(order, folder, Course(examples, shape, [*range(len(lengths))] * steps), model, gpu=gpu)
    ends: list[float] = []
    trainer.add_callback(_clock(ends, channel, gpu=gpu))
    trainer.train()
    taken = [after - before for before, after in pairwise(ends)]
    return median(taken[_WARM_UP - 1 :])


def _slice(order: Order, depth: int, *, gpu: bool) -> Any:
    """The base model with fewer layers."""
    import torch

    from services.trainer.backends.process.training import precision

    library: Any = importlib.import_module("transformers")  # untyped
    config = library.AutoConfig.from_pretrained(order.spec.base, local_files_only=True)
    text = config.get_text_config()
    text.num_hidden_layers = depth
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:depth]
    with torch.device("cuda" if gpu else "cpu"):
        return library.AutoModelForCausalLM.from_config(config, dtype=precision(order, gpu=gpu))


def _example(length: int, vocabulary: int) -> Example:
    ids = tuple(place % vocabulary for place in range(length))
    return Example(ids=ids, labels=ids, tokens=length, cut=False, closes=True, straddles=False)


def _clock(ends: list[float], channel: Channel, *, gpu: bool) -> Any:
    import torch

    base: Any = importlib.import_module("transformers").TrainerCallback

    class Clock(base):  # type: ignore[misc]  # untyped
        """Notes when each step has ended on the device; goes when the server does."""

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_named: Any) -> None:
            if gpu:
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
            control.should_training_stop = control.should_training_stop or channel.stopping

    return Clock()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)  # as the worker does
