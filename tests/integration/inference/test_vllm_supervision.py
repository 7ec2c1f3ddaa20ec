"""The vLLM backend around a server that only speaks its API: processes, crashes, adapters, metrics. No vLLM needed."""

import asyncio
import errno
import itertools
import json
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from chassis.metrics import Metrics
from services.inference.backends.vllm import EngineOptions, VllmBackend, engine
from services.inference.backends.vllm import backend as module
from services.inference.backends.vllm.options import Build
from services.inference.domain.model import Checkpoint, ModelSpec, Prompt, Reply, Sampling
from services.inference.ports import Subject, WholeSubjectError

FAKE = Path(__file__).with_name("fake_vllm.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeOptions(EngineOptions):
    """Starts the fake."""

    state: Path = Path()

    def command(self, build: Build, folder: Path, port: int) -> list[str]:
        return [sys.executable, "-I", str(FAKE), str(port), str(self.state)]


def tensors(shapes: dict[str, list[int]]) -> bytes:
    header = json.dumps({name: {"dtype": "F32", "shape": shape} for name, shape in shapes.items()}).encode()
    return len(header).to_bytes(8, "little") + header


def make_base(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ x }}")
    (folder / "model.safetensors").write_bytes(tensors({"layers.0.q_proj.weight": [8, 8]}))
    return folder


def make_adapter(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    said = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]} | changes
    (folder / "adapter_config.json").write_text(json.dumps(said))
    shapes = {"layers.0.q_proj.lora_A.weight": [4, 8], "layers.0.q_proj.lora_B.weight": [8, 4]}
    (folder / "adapter_model.safetensors").write_bytes(tensors(shapes) + folder.name.encode())
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "metrics").write_text("")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "tiny")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


Make = Callable[..., VllmBackend]


@pytest.fixture
async def make(state: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Makes a backend over the fake, and ends it."""
    monkeypatch.setattr(module, "installed", lambda _: Build(name="vllm test", cpu=True))
    async with AsyncExitStack() as made:

        def build(**options: object) -> VllmBackend:
            chosen = FakeOptions(state=state, lora_target_modules=("q_proj",), stop_seconds=5.0, **options)  # type: ignore[arg-type]
            backend = VllmBackend(Guard(Egress.embedded()), chosen, metrics)
            made.push_async_callback(backend.close)
            return backend

        yield build


async def subject(backend: VllmBackend, base: Path, adapter: Path | None = None) -> Subject:
    return await backend.prepare(ModelSpec(source=Checkpoint(path=str(base), adapter=str(adapter or ""))), "")


async def ask(found: Subject, *texts: str) -> list[str]:
    prompts = [Prompt(messages=(("user", text),)) for text in texts]
    outcomes = [outcome for _, outcome in sorted([pair async for pair in found.generate(prompts, Sampling())])]
    return [one.text if isinstance(one, Reply) else one.reason.name for one in outcomes]


def events(state: Path, kind: str) -> list[str]:
    lines = (state / "log").read_text().splitlines() if (state / "log").exists() else []
    return [line.partition(" ")[2] for line in lines if line.startswith(kind)]


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends in time; returns when it does."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


async def test_arms_of_one_base_share_one_server(make: Make, base: Path, tmp_path: Path, state: Path) -> None:
    backend = make()
    arms = [None, make_adapter(tmp_path / "warm"), make_adapter(tmp_path / "cold")]
    subjects = [await subject(backend, base, arm) for arm in arms]
    assert events(state, "start") == []  # describing a model starts nothing
    replies = await asyncio.gather(*(ask(one, "hi", "ho") for one in subjects))
    assert replies == [["base: hi", "base: ho"], ["warm: hi", "warm: ho"], ["cold: hi", "cold: ho"]]
    assert len(events(state, "start")) == 1
    assert len({one.identity.digest for one in subjects}) == 3


async def test_more_adapters_than_are_kept_are_unloaded_and_come_back(
    make: Make, base: Path, tmp_path: Path, state: Path
) -> None:
    backend = make(max_adapters=1)
    one, two = [await subject(backend, base, make_adapter(tmp_path / name)) for name in ("one", "two")]
    for found, name in ((one, "one"), (two, "two"), (one, "one")):
        assert await ask(found, "hi") == [f"{name}: hi"]
    assert events(state, "load") == ["one", "two", "one"]
    assert "one" in events(state, "unload")


async def test_a_server_that_dies_is_started_again_with_its_adapters_and_asked_again(
    make: Make, base: Path, tmp_path: Path, state: Path
) -> None:
    found = await subject(make(), base, make_adapter(tmp_path / "warm"))
    assert await ask(found, "hi", "die once", "ho") == ["warm: hi", "warm: die once", "warm: ho"]
    assert len(events(state, "start")) == 2
    assert events(state, "load") == ["warm", "warm"]
    assert all(gone(int(pid)) for pid in events(state, "worker")[:1])


async def test_a_server_that_dies_again_and_again_ends_the_batch_with_its_own_words(
    make: Make, base: Path, state: Path
) -> None:
    found = await subject(make(max_concurrency=1), base)
    with pytest.raises(WholeSubjectError, match="the kernel gave up") as caught:
        await ask(found, "die", "die", "die")
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE
    assert len(events(state, "start")) == 3
    assert await ask(found, "hi") == ["base: hi"]  # the next request begins anew


async def test_one_prompt_that_kills_the_server_is_its_own_error(make: Make, base: Path) -> None:
    found = await subject(make(max_concurrency=1), base)
    assert await ask(found, "hi", "die") == ["base: hi", "ENDPOINT_UNAVAILABLE"]


async def test_a_server_that_cannot_start_says_why(make: Make, base: Path, state: Path) -> None:
    (state / "refuse").touch()
    found = await subject(make(), base)
    with pytest.raises(CandorError, match="head size 8 is not supported") as caught:
        await ask(found, "hi")
    assert caught.value.reason is Reason.BAD_CHECKPOINT
    (state / "refuse").unlink()
    assert await ask(found, "hi") == ["base: hi"]


@pytest.mark.parametrize("starts_before", [0, 1])
async def test_a_machine_that_cannot_start_the_process_says_so_to_everyone_who_waits(
    make: Make, base: Path, monkeypatch: pytest.MonkeyPatch, starts_before: int
) -> None:
    found = await subject(make(), base)
    start, started = asyncio.create_subprocess_exec, itertools.count()

    async def no_memory(*command: str, **options: Any) -> asyncio.subprocess.Process:
        if next(started) >= starts_before:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_memory)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(ask(found, "die"), ask(found, "die"), return_exceptions=True)
    assert all(isinstance(one, WholeSubjectError) for one in answers)
    assert all("Cannot allocate memory" in str(one) for one in answers)
    monkeypatch.undo()
    monkeypatch.setattr(module, "installed", lambda _: Build(name="vllm test", cpu=True))
    assert await ask(found, "hi") == ["base: hi"]


async def test_a_model_that_dies_at_its_first_step_fails_at_once_and_not_again_and_again(
    make: Make, base: Path, state: Path
) -> None:
    (state / "mute").touch()
    with pytest.raises(CandorError, match="could not start with this checkpoint: RuntimeError: the kernel gave up"):
        await ask(await subject(make(), base), "hi")
    assert len(events(state, "start")) == 1


async def test_another_program_on_its_port_is_not_taken_for_the_engine(
    make: Make, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Healthy, but of other keys."""
        request = await reader.readuntil(b"\r\n\r\n")
        status = b"200 OK" if request.startswith(b"GET") else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    found = await subject(make(), base)
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as foreign:
        port = foreign.sockets[0].getsockname()[1]
        with monkeypatch.context() as patched:
            patched.setattr(engine, "_free_port", lambda: port)
            with pytest.raises(WholeSubjectError, match="another program answers") as caught:
                await ask(found, "hi")
        assert caught.value.retryable
        assert await ask(found, "hi") == ["base: hi"]


async def test_a_server_that_never_answers_is_ended(make: Make, base: Path, state: Path) -> None:
    (state / "hang").touch()
    found = await subject(make(start_seconds=1.0), base)
    with pytest.raises(CandorError, match="loading") as caught:
        await ask(found, "hi")
    assert caught.value.reason is Reason.ENDPOINT_TIMEOUT
    assert gone(int(events(state, "start")[0]))


async def test_another_base_waits_for_room_and_gets_it(make: Make, base: Path, tmp_path: Path, state: Path) -> None:
    backend = make(max_engines=1)
    other = make_base(tmp_path / "other")
    subjects = [await subject(backend, folder) for folder in (base, other)]
    replies = await asyncio.gather(*(ask(one, "hi") for one in subjects))
    assert replies == [["base: hi"], ["base: hi"]]
    first, second = events(state, "start")
    assert gone(int(first))
    assert not gone(int(second), 0)


async def test_a_changed_base_is_served_by_a_new_server(make: Make, base: Path, state: Path) -> None:
    backend = make()
    assert await ask(await subject(backend, base), "hi") == ["base: hi"]
    (base / "config.json").write_text('{"a": 1}')
    assert await ask(await subject(backend, base), "hi") == ["base: hi"]
    assert len(events(state, "start")) == 2


async def test_closing_ends_everything_that_was_started(make: Make, base: Path, state: Path) -> None:
    backend = make()
    await ask(await subject(backend, base), "hi")
    await backend.close()
    assert all(gone(int(pid)) for kind in ("start", "worker") for pid in events(state, kind))


async def test_nothing_outlives_a_service_that_is_killed(state: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from services.inference.backends.vllm.child import Child\n"
        "async def main():\n"
        "    child = await Child.start(sys.argv[1:], {}, 1.0)\n"
        "    print(child.pid, flush=True)\n"
        "    await child.ended()\n"
        "asyncio.run(main())\n"
    )
    worker = "import signal, subprocess, sys; signal.signal(15, signal.SIG_IGN); signal.pause()"
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, sys.executable, "-c", worker), stdout=asyncio.subprocess.PIPE
    )
    assert service.stdout is not None
    keeper = int(await service.stdout.readline())
    service.send_signal(signal.SIGKILL)
    await service.wait()
    assert await asyncio.to_thread(gone, keeper)


async def test_a_living_and_a_dead_adapter_are_told_apart(make: Make, base: Path, tmp_path: Path) -> None:
    backend = make()
    checks = [
        await (await subject(backend, base, make_adapter(tmp_path / name))).check(Sampling())
        for name in ("warm", "dead")
    ]
    assert [one.liveness and one.liveness.alive for one in checks] == [True, False]
    assert checks[0].liveness
    assert round(checks[0].liveness.difference, 6) == 0.5
    assert (await (await subject(backend, base)).check(Sampling())).liveness is None


@pytest.mark.parametrize("name", ["nan", "infinite"])
async def test_an_adapter_that_computes_no_numbers_is_dead_and_says_why(
    make: Make, base: Path, tmp_path: Path, name: str
) -> None:
    check = await (await subject(make(), base, make_adapter(tmp_path / name))).check(Sampling())
    assert check.liveness
    assert not check.liveness.alive
    assert "not finite" in check.liveness.reason


async def test_arms_of_one_base_are_checked_one_after_the_other(
    make: Make, base: Path, tmp_path: Path, state: Path
) -> None:
    backend = make()
    arms = [await subject(backend, base, make_adapter(tmp_path / name)) for name in ("warm", "cold", "dead")]
    await asyncio.gather(*(arm.check(Sampling()) for arm in arms))
    asked = (state / "asked").read_text().split()
    turns = [name for name, _ in itertools.groupby(name for name in asked if name != "base")]
    assert len(turns) == len(arms), turns


async def test_a_token_limit_beyond_the_models_length_is_left_to_the_model(make: Make, base: Path) -> None:
    assert await ask(await subject(make(), base), "long", "short") == ["base: long", "base: short"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"r": 64}, "MAX_LORA_RANK"),
        ({"target_modules": ["q_proj", "lm_head"]}, "LORA_TARGET_MODULES"),
    ],
)
async def test_an_adapter_that_the_engine_was_not_started_for_names_the_setting(
    make: Make, base: Path, tmp_path: Path, changes: dict[str, object], word: str
) -> None:
    with pytest.raises(CandorError, match=word) as caught:
        await subject(make(), base, make_adapter(tmp_path / "adapter", **changes))
    assert caught.value.reason is Reason.BAD_CHECKPOINT


async def test_an_adapter_that_the_engine_refuses_is_a_mismatch(make: Make, base: Path, tmp_path: Path) -> None:
    backend = make()
    with pytest.raises(CandorError) as caught:
        await ask(await subject(backend, base, make_adapter(tmp_path / "foreign")), "hi")
    assert caught.value.reason is Reason.ADAPTER_MISMATCH
    assert await ask(await subject(backend, base), "hi") == ["base: hi"]


async def test_the_engines_metrics_are_passed_on_with_bounded_labels(
    make: Make, base: Path, state: Path, metrics: Metrics
) -> None:
    (state / "metrics").write_text(
        "# TYPE vllm:request_success_total counter\n"
        'vllm:request_success_total{model_name="secret name",finished_reason="stop"} 3.0\n'
        "# TYPE vllm:cache_config_info gauge\n"
        'vllm:cache_config_info{anything="at all"} 1.0\n'
    )
    await ask(await subject(make(), base), "hi")
    text = (await asyncio.to_thread(generate_latest, metrics.registry)).decode()
    assert 'vllm:request_success_total{engine="0",finished_reason="stop"} 3.0' in text
    assert 'candor_vllm_engine_up{engine="0"} 1.0' in text
    assert "secret name" not in text
    assert "cache_config" not in text
