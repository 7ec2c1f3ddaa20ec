"""The same prompts through inspect-ai, run by the Python of its own environment."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from inspect_ai import Task, eval  # noqa: A004 (its name)
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


def main() -> None:
    prompts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    under_way = int(os.environ["BENCH_UNDER_WAY"])
    samples = [
        Sample(input=[ChatMessageUser(content=turn["content"]) for turn in row["messages"]], target=row["gold"])
        for row in prompts
    ]
    config = GenerateConfig(temperature=0.8, max_tokens=300, seed=1, max_connections=under_way)
    model = get_model("openai-api/bench/one", base_url=os.environ["BENCH_URL"], api_key="none", config=config)
    with tempfile.TemporaryDirectory() as folder:
        [log] = eval(
            Task(dataset=MemoryDataset(samples), solver=generate(), scorer=includes()),
            model=model,
            max_samples=under_way,
            max_connections=under_way,
            display="none",
            log_dir=folder,
        )
    assert log.status == "success", log.error
    began, ended = (datetime.fromisoformat(text) for text in (log.stats.started_at, log.stats.completed_at))
    print(json.dumps({"replies": len(samples), "asking": (ended - began).total_seconds()}))


main()
