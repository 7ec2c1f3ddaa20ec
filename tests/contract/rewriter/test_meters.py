"""The port `Meters`: the word list, and Detoxify with a stand-in for the package (its real weights are not downloaded here)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from chassis.errors import CandorError, Reason
from services.rewriter.backends.meter_detoxify import DetoxifyMeters
from services.rewriter.backends.meters import NamedMeters

TEXTS = [["Hello.", "You are a stupid bitch."], ["Hello."], ["How do I boil an egg?", "In water."]]


class Detoxify:
    """The interface of the package: scores of a list of texts by name."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, model_type: str, **source: Any) -> None:
        if source.get("checkpoint", "").endswith("broken.ckpt"):
            raise KeyError("state_dict")
        self.made.append({"model_type": model_type, **source})

    def predict(self, texts: list[str]) -> dict[str, list[float]]:
        return {"toxicity": [0.9 if "stupid" in text else 0.1 for text in texts], "insult": [0.0] * len(texts)}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the meter needs torch, which is not installed")
    module = ModuleType("detoxify")
    module.Detoxify = Detoxify  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "detoxify", module)
    monkeypatch.setattr(Detoxify, "made", [])


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["lexical", "detoxify"])
async def test_one_score_for_each_conversation_the_worst_turn_counts(name: str) -> None:
    meter = await NamedMeters(DetoxifyMeters("original", None, None)).ready(name)
    scores = await meter.scores(TEXTS)
    assert len(scores) == 3
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert scores[0] >= 0.5 > max(scores[1:])
    assert meter.method.startswith(f"{name}/")
    assert await meter.scores([]) == []


@pytest.mark.usefixtures("installed")
async def test_detoxify_is_loaded_once_and_from_the_files_of_the_settings(tmp_path: Path) -> None:
    checkpoint = tmp_path / "toxic.ckpt"
    checkpoint.write_bytes(b"x")
    meters = NamedMeters(DetoxifyMeters("unbiased", checkpoint, tmp_path))
    assert await meters.ready("detoxify") is await meters.ready("detoxify")
    files = {"checkpoint": str(checkpoint), "huggingface_config_path": str(tmp_path)}
    assert Detoxify.made == [{"model_type": "unbiased", **files}]


async def refused(meters: DetoxifyMeters) -> CandorError:
    with pytest.raises(CandorError) as caught:
        await meters.ready()
    assert caught.value.reason is Reason.BACKEND_MISSING
    return caught.value


async def test_a_missing_package_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detoxify", None)
    assert ".[toxicity]" in str(await refused(DetoxifyMeters("original", None, None)))


@pytest.mark.usefixtures("installed")
async def test_a_missing_or_broken_checkpoint_says_what_to_set(tmp_path: Path) -> None:
    assert "gone.ckpt" in str(await refused(DetoxifyMeters("original", tmp_path / "gone.ckpt", None)))
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"x")
    assert "detoxify_checkpoint" in str(await refused(DetoxifyMeters("original", broken, None)))
