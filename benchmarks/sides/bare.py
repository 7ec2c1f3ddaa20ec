"""The least that a Python program can do with the openai SDK: ask every prompt, keep nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


async def main(prompts: list[Any]) -> None:
    import openai

    places = asyncio.Semaphore(int(os.environ["BENCH_UNDER_WAY"]))
    async with openai.AsyncOpenAI(base_url=os.environ["BENCH_URL"], api_key="none") as client:

        async def ask(messages: Any) -> None:
            async with places:
                found = await client.chat.completions.create(
                    model="one", messages=messages, temperature=0.8, max_tokens=300, seed=1
                )
            assert found.choices[0].message.content

        start = time.perf_counter()
        await asyncio.gather(*(ask(prompt["messages"]) for prompt in prompts))
        print(json.dumps({"replies": len(prompts), "asking": time.perf_counter() - start}))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
