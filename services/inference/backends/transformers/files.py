"""A checkpoint's files: what must be there, and the digests that make its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.egress import Guard
from chassis.errors import CandorError, Reason
from services.inference.domain.identity import digest_of

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_CONFIG = ("config.json", "generation_config.json")
# Notes about how a folder was written; they shape no reply.
_VOLATILE = frozenset(
    {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "chat_template", "name_or_path"}
)
_BLOCK_BYTES = 4 * 2**20

Stamp = tuple[str, int, int]
"""(resolved path, size in bytes, modification time in ns) of a file."""


@dataclass(slots=True)
class CheckpointFiles:
    """Finds and hashes files; hashes are kept as long as path, size and time stay the same."""

    guard: Guard
    _hashes: dict[Stamp, str] = field(default_factory=dict)

    def stamps(self, path: str) -> tuple[Path, tuple[Stamp, ...]]:
        """The folder and the stamps of all its files that count.

        Raises:
            CandorError: PATH_NOT_ALLOWED, CHECKPOINT_NOT_FOUND, or BAD_CHECKPOINT naming what is missing.
        """
        folder = self.guard.check_path(path, "model.checkpoint.path")
        weights = sorted(folder.glob("*.safetensors"))
        if not (folder / "config.json").is_file():
            raise _bad("there is no config.json; give the folder that save_pretrained wrote")
        if not weights:
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
            mend = "only pickled ones, which are never loaded; " if pickled else ""
            raise _bad(f"there are no safetensors weights ({mend}save the model with safe_serialization)")
        if not any((folder / name).is_file() for name in _TOKENIZER):
            raise _bad("there is no tokenizer; save it into the same folder")
        names = (*_TOKENIZER, *_CONFIG, "chat_template.jinja")
        found = [*weights, *(folder / name for name in names if (folder / name).is_file())]
        return folder, tuple(self._stamp(file) for file in found)

    def components(self, folder: Path) -> dict[str, str]:
        """Digests by name: weights, tokenizer, chat_template, config. Reads every byte of new files."""
        weights = {file.name: self._hash(file) for file in sorted(folder.glob("*.safetensors"))}
        tokenizer = {name: self._json_or_hash(folder / name) for name in _TOKENIZER if (folder / name).is_file()}
        config = {name: self._json_or_hash(folder / name) for name in _CONFIG if (folder / name).is_file()}
        return {
            "weights": _digest(weights),
            "tokenizer": _digest(tokenizer),
            "config": _digest(config),
            "chat_template": _digest(chat_template(folder)),
        }

    def _stamp(self, file: Path) -> Stamp:
        resolved = self.guard.check_inside(file, "model.checkpoint.path")
        status = resolved.stat()
        return str(resolved), status.st_size, status.st_mtime_ns

    def _hash(self, file: Path) -> str:
        stamp = self._stamp(file)
        if stamp not in self._hashes:
            digest = hashlib.sha256()
            with file.open("rb") as stream:
                while block := stream.read(_BLOCK_BYTES):
                    digest.update(block)
            self._hashes[stamp] = digest.hexdigest()
        return self._hashes[stamp]

    def _json_or_hash(self, file: Path) -> object:
        """The JSON without volatile keys where a file has such; else its hash."""
        if file.name not in ("tokenizer_config.json", *_CONFIG):
            return self._hash(file)
        value = _read_json(file)
        return {key: inner for key, inner in value.items() if key not in _VOLATILE}


def chat_template(folder: Path) -> object:
    """The chat template as the folder gives it; raises CandorError BAD_CHECKPOINT if there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    config = folder / "tokenizer_config.json"
    found = _read_json(config).get("chat_template") if config.is_file() else None
    if not found:
        raise _bad("it has no chat template; put the one of its base model into chat_template.jinja")
    return found


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _bad(f"{file.name} is not JSON") from error
    if not isinstance(value, dict):
        raise _bad(f"{file.name} is not a JSON object")
    return value


def _digest(value: object) -> str:
    return digest_of(json.dumps(value, sort_keys=True, ensure_ascii=False))


def _bad(what: str) -> CandorError:
    return CandorError(Reason.BAD_CHECKPOINT, f"model.checkpoint.path: {what}")
