"""Adapters as PEFT writes them, put in their place whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def publish(folder: Path, step: int, base: str, save: Callable[[Path], None], card: str) -> tuple[Path, str]:
    """Make `checkpoint-<step>`, unless it is there.

    Args:
        folder: The job's.
        step: Steps made.
        base: Absolute path of the base model, which peft and transformers find through the adapter's config.
        save: Writes config and weights into a folder.
        card: Text of its README.md; PEFT's own names the base in a way that the Hub refuses for local folders.

    Returns:
        The folder and `sha256:` over its config and weights.
    """

    def fill(temporary: Path) -> None:
        save(temporary)
        config = json.loads((temporary / CONFIG).read_text("utf-8"))
        config["base_model_name_or_path"] = base
        (temporary / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        (temporary / "README.md").write_text(card, "utf-8")

    place = place_of(folder, step)
    whole(place, fill)
    return place, digest(place)


def whole(place: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that is there complete or not at all; one that is there stays as it is."""
    if place.is_dir():
        return
    temporary = place.with_name(f".{place.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        fill(temporary)
        sync(temporary)
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(place.parent)


def place_of(folder: Path, step: int) -> Path:
    """Where a job's adapter of a step lies."""
    return folder / f"checkpoint-{step}"


def complete(place: Path) -> bool:
    """Whether config and weights are there."""
    return all((place / name).is_file() for name in (CONFIG, WEIGHTS))


def digest(place: Path) -> str:
    """Over what an adapter computes: config and weights, not the base model's path."""
    config = json.loads((place / CONFIG).read_text("utf-8"))
    del config["base_model_name_or_path"]
    whole = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    whole.update((place / WEIGHTS).read_bytes())
    return "sha256:" + whole.hexdigest()


def sync(place: Path) -> None:
    """Have a folder and its files on disk. Raises OSError where what was written has no room after all."""
    for file in (*place.iterdir(), place):
        _sync(file)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
