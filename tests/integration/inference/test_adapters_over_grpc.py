"""Arms of one base over the wire: identity, replies, liveness."""

from pathlib import Path
from typing import Any

import pytest
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2 as pb

from chassis.clients import translated
from chassis.errors import CandorError, Reason
from chassis.testing.tiny_checkpoint import make_tiny_adapter, make_tiny_checkpoint


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("peft", reason="adapters were not tested over gRPC: peft is not installed")
    root = tmp_path_factory.mktemp("models")
    base = make_tiny_checkpoint(root / "base")
    return {
        "base": base,
        "warm": make_tiny_adapter(base, root / "warm"),
        "dead": make_tiny_adapter(base, root / "dead", alive=False),
        "foreign": make_tiny_adapter(make_tiny_checkpoint(root / "other", hidden=64), root / "foreign"),
    }


async def test_arms_of_one_base_over_the_wire(service: Any, folders: dict[str, Path]) -> None:
    def spec(adapter: str = "") -> model_pb2.ModelSpec:
        folder = str(folders[adapter]) if adapter else ""
        return model_pb2.ModelSpec(checkpoint=model_pb2.Checkpoint(path=str(folders["base"]), adapter=folder))

    def ask(model: model_pb2.ModelSpec) -> pb.GenerateRequest:
        message = model_pb2.Message(role="user", content="which one is it?")
        sampling = model_pb2.Sampling(temperature=0.0, max_tokens=24)
        return pb.GenerateRequest(model=model, sampling=sampling, prompt=pb.Prompt(messages=[message]))

    async with service() as stub:
        checks = {
            name: await stub.CheckModel(pb.CheckModelRequest(model=spec(name)), timeout=60)
            for name in ("", "warm", "dead")
        }
        assert not checks[""].HasField("liveness")
        assert checks["warm"].liveness.alive
        assert checks["warm"].liveness.difference > checks["warm"].liveness.floor
        assert checks["dead"].HasField("liveness")
        assert not checks["dead"].liveness.alive
        assert checks["dead"].liveness.probes > 0

        replies = {name: (await stub.Generate(ask(spec(name)), timeout=60)).reply for name in ("", "warm", "dead")}
        assert replies["warm"].text != replies[""].text == replies["dead"].text
        assert len({reply.digest for reply in replies.values()}) == 3

        with pytest.raises(CandorError) as caught, translated("inference"):
            await stub.DescribeModel(pb.DescribeModelRequest(model=spec("foreign")), timeout=60)
        assert caught.value.reason is Reason.ADAPTER_MISMATCH
        assert "model.checkpoint.adapter" in caught.value.message
