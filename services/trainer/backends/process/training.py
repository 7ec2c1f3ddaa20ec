"""TRL's SFTTrainer over our own tokens, labels and order. Runs in the worker; imports torch and everything."""

from __future__ import annotations

import importlib
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.adapters import whole
from services.trainer.backends.process.channel import Channel
from services.trainer.backends.process.keeping import STATES, Keeper, newest_state
from services.trainer.backends.process.order import Order
from services.trainer.backends.process.tokens import load_tokenizer, tokenize
from services.trainer.domain.labels import Example
from services.trainer.domain.schedule import MOST_AT_ONCE, Plan, device_batch, plan
from services.trainer.domain.schedule import order as order_of

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True, slots=True)
class Course:
    """What is trained in which order."""

    examples: Sequence[Example]
    shape: Plan
    places: Sequence[int]

    def per_step(self, counts: Sequence[int]) -> list[int]:
        """Sums over the conversations of each step."""
        batch = self.shape.batch
        return [
            sum(counts[index] for index in self.places[start : start + batch])
            for start in range(0, len(self.places), batch)
        ]


def train(order: Order, folder: Path, channel: Channel) -> bool:
    """Train to the end or until the channel says stop; whether it came to the end. Raises CandorError."""
    import torch

    gpu = prepare_torch(order)
    processes = order.spec.training.processes
    if gpu and torch.cuda.device_count() < processes:
        message = (
            f"training.processes is {processes}, but this machine has {torch.cuda.device_count()} GPUs, one for each"
        )
        raise CandorError(Reason.BACKEND_MISSING, message)
    course = _course(order)
    trainer = make_trainer(order, folder, course, _base(order, gpu=gpu), gpu=gpu)

    def peak() -> int:
        return torch.cuda.max_memory_allocated() if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    keeper = Keeper(
        order,
        folder,
        course.shape,
        course.per_step([len(example.ids) for example in course.examples]),
        course.per_step([example.trained for example in course.examples]),
        channel,
        peak,
    )
    states = Path(trainer.args.output_dir)
    with trainer.accelerator.main_process_first():  # it removes broken ones
        state = newest_state(states)
    step = int(state.name.rpartition("-")[2]) if state else 0
    versions = {name: version(name) for name in _PACKAGES}
    device = torch.cuda.get_device_name() if gpu else "cpu"
    channel.tell("started", step=step, versions={**versions, "device": device})
    trainer.add_callback(_callback(keeper, states, channel))
    trainer.train(resume_from_checkpoint=str(state) if state else None)
    finished: bool = trainer.state.global_step >= course.shape.steps
    if finished and order.spec.merge and trainer.is_world_process_zero():
        channel.tell("merged", path=str(_merge(trainer, folder, order.spec.base)))
    return finished


def prepare_torch(order: Order) -> bool:
    """Set torch up as the order says; whether it trains on a GPU. Raises CandorError BACKEND_MISSING."""
    import torch

    if order.threads:
        torch.set_num_threads(order.threads)
    gpu = torch.cuda.is_available() if order.device == "auto" else order.device == "cuda"
    if gpu and not torch.cuda.is_available():
        raise CandorError(Reason.BACKEND_MISSING, "device is cuda, but torch finds no GPU on this machine")
    return gpu


def precision(order: Order, *, gpu: bool) -> Any:
    """The type of the base model's weights."""
    import torch

    wanted = order.spec.training.precision
    return torch.bfloat16 if wanted == "bf16" or (gpu and not wanted) else torch.float32


def _base(order: Order, *, gpu: bool) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        order.spec.base, dtype=precision(order, gpu=gpu), local_files_only=True, use_safetensors=True
    )


def _merge(trainer: Any, folder: Path, base: str) -> Path:
    """Write base and adapter as one model."""

    def fill(temporary: Path) -> None:
        trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().save_pretrained(temporary)
        load_tokenizer(base).save_pretrained(temporary)

    whole(folder / "merged", fill)
    return folder / "merged"


def _course(order: Order) -> Course:
    training = order.spec.training
    tokenized = tokenize(order.spec.base, order.spec.dataset, training.max_length)
    examples = [example for example in tokenized.examples if example.trained]
    shape = plan(training, len(examples))
    lengths = [len(example.ids) for example in examples]
    return Course(examples, shape, list(order_of(lengths, shape, training.seed, training.batching)))


def make_trainer(order: Order, folder: Path, course: Course, model: Any, *, gpu: bool) -> Any:
    """TRL's trainer, ready to train a model on a course."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig

    libraries: Any = importlib.import_module("trl")  # its names are lazy, so type checkers do not see them
    spec, training = order.spec, order.spec.training
    rows = device_batch(training.device_batch_size, course.shape.batch, training.processes, MOST_AT_ONCE)
    recompute = training.gradient_checkpointing
    arguments = libraries.SFTConfig(
        output_dir=str(folder / STATES),
        max_steps=course.shape.steps,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=max(1, course.shape.batch // (rows * training.processes)),
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=course.shape.warmup_steps,
        weight_decay=training.weight_decay,
        seed=training.seed,
        bf16=precision(order, gpu=gpu) == torch.bfloat16,
        use_cpu=not gpu,
        ddp_backend=None if gpu or training.processes == 1 else "gloo",
        ddp_find_unused_parameters=False,
        gradient_checkpointing=gpu if recompute is None else recompute,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # the callback says when
        save_total_limit=2,  # while one is written, another is whole
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
        max_length=None,  # already cut
        dataset_kwargs={"skip_prepare_dataset": True},
        padding_free=training.batching == "packing",
    )
    places = course.places
    alpha: Any = int(spec.lora.alpha) if spec.lora.alpha.is_integer() else spec.lora.alpha  # engines expect whole ones

    class Ordered(torch.utils.data.Sampler[int]):
        """The whole course as one pass, so that a resumed run skips exactly what was seen."""

        def __len__(self) -> int:
            return len(places)

        def __iter__(self) -> Any:
            return iter(places)

    class Trainer(libraries.SFTTrainer):  # type: ignore[misc]  # untyped
        """TRL's trainer in our order, without its model cards."""

        def _get_train_sampler(self, _train_dataset: Any = None) -> Any:
            return Ordered()

        def create_model_card(self, *arguments: Any, **named: Any) -> None:
            """Adapters carry a card of ours."""

    return Trainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(
            {
                "input_ids": [list(example.ids) for example in course.examples],
                "labels": [list(example.labels) for example in course.examples],
            }
        ),
        processing_class=load_tokenizer(spec.base),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=spec.lora.r,
            lora_alpha=alpha,
            lora_dropout=spec.lora.dropout,
            target_modules=list(spec.lora.target_modules),
        ),
    )


def _callback(keeper: Keeper, states: Path, channel: Channel) -> Any:
    base: Any = importlib.import_module("transformers").TrainerCallback
    together: Any = importlib.import_module("accelerate.utils")

    class Between(base):  # type: ignore[misc]  # untyped
        """Passes transformers' events on."""

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **named: Any) -> None:
            if state.is_world_process_zero:
                keeper.begin(state.global_step, named["model"], state.log_history)

        def on_step_end(self, _args: Any, state: Any, control: Any, **_named: Any) -> None:
            # Clocks and pipes differ between processes: the first one decides for all.
            wishes = [keeper.wants_state(state.global_step), channel.stopping]
            control.should_save, stop = together.broadcast_object_list(wishes)
            control.should_training_stop = control.should_training_stop or stop

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_named: Any) -> None:
            if state.is_world_process_zero and logs and "loss" in logs:
                keeper.stepped(state.global_step, float(logs["loss"]), float(logs["learning_rate"]))

        def on_save(self, _args: Any, state: Any, _control: Any, **named: Any) -> None:
            together.wait_for_everyone()  # each writes its part of a state
            if state.is_world_process_zero:
                keeper.saved(states, state.global_step, named["model"])

    return Between()
