"""The other side of benchmarks/training.py: TRL's SFTTrainer as its documentation shows it, told to train the same thing.

    python -m benchmarks.sides.plain_trl BASE DATA SETTINGS-JSON

Prints one JSON line a step. What is left at TRL's defaults: batches of 8, random order, padding, gradient checkpointing (unless
the settings say otherwise), tokenization and assistant masks by the template's marks.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer


class Tell(TrainerCallback):
    """Prints a line a step."""

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_named: Any) -> None:
        """See transformers."""
        if logs and "loss" in logs:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            line = {"kind": "stepped", "step": state.global_step, "loss": logs["loss"], "peak_memory_bytes": peak}
            print(json.dumps(line), file=OUT, flush=True)


OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
base, data, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
torch.set_num_threads(settings.pop("threads"))
dropout = settings.pop("dropout")
SFTTrainer(
    model=base,
    args=SFTConfig(
        output_dir=settings.pop("output"),
        assistant_only_loss=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,  # as ours on a CPU
        model_init_kwargs={"dtype": "float32"},
        **settings,
    ),
    train_dataset=load_dataset("json", data_files=data, split="train", cache_dir=str(Path(data).parent)),
    peft_config=LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    ),
    callbacks=[Tell()],
).train()
