"""A checkpoint's and an adapter's files: what must be there, and the digests that make their identity."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.egress import Guard
from chassis.errors import CandorError, Reason
from services.inference.domain import adapters
from services.inference.domain.identity import digest_of
from services.inference.domain.model import Checkpoint, ModelSpec

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
_ADAPTER_CONFIG, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BLOCK_BYTES = 4 * 2**20
_MOST_HEADER_BYTES = 64 * 2**20
_BASE, _ADAPTER = "model.checkpoint.path", "model.checkpoint.adapter"

Stamp = tuple[str, int, int]
"""(resolved path, size in bytes, modification time in ns) of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A checkpoint's folders, and the stamps of all files that count; an adapter's are apart from its base's."""

    folder: Path
    stamps: tuple[Stamp, ...]
    adapter: Path | None = None
    adapter_stamps: tuple[Stamp, ...] = ()


@dataclass(slots=True)
class CheckpointFiles:
    """Finds and hashes files; hashes are kept as long as path, size and time stay the same."""

    guard: Guard
    _hashes: dict[Stamp, str] = field(default_factory=dict)

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        """Path, size and time of every file of a checkpoint; raises as `find`."""
        found = await asyncio.to_thread(self.find, checkpoint_of(spec))
        return found.stamps + found.adapter_stamps

    def find(self, source: Checkpoint) -> Found:
        """Where the files are.

        Raises:
            CandorError: PATH_NOT_ALLOWED, CHECKPOINT_NOT_FOUND, or BAD_CHECKPOINT naming what is missing.
        """
        folder = self.guard.check_path(source.path, _BASE)
        weights = sorted(folder.glob("*.safetensors"))
        if not (folder / "config.json").is_file():
            raise _bad(f"there is no config.json{_mixed_up(folder)}; give the folder that save_pretrained wrote")
        if not weights:
            pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
            mend = "only pickled ones, which are never loaded; " if pickled else ""
            raise _bad(f"there are no safetensors weights ({mend}save the model with safe_serialization)")
        if not any((folder / name).is_file() for name in _TOKENIZER):
            raise _bad("there is no tokenizer; save it into the same folder")
        names = (*_TOKENIZER, *_CONFIG, "chat_template.jinja")
        files = [*weights, *(folder / name for name in names if (folder / name).is_file())]
        stamps = tuple(self._stamp(file, _BASE) for file in files)
        if not source.adapter:
            return Found(folder=folder, stamps=stamps)
        adapter = self.guard.check_path(source.adapter, _ADAPTER)
        if not (adapter / _ADAPTER_CONFIG).is_file():
            raise _bad_adapter(f"there is no {_ADAPTER_CONFIG}; give the folder that PEFT's save_pretrained wrote")
        if not (adapter / _ADAPTER_WEIGHTS).is_file():
            pickled = any(adapter.glob("*.bin"))
            mend = " (only pickled weights, which are never loaded)" if pickled else ""
            raise _bad_adapter(f"there is no {_ADAPTER_WEIGHTS}{mend}; save it with safe_serialization")
        files = [adapter / _ADAPTER_CONFIG, adapter / _ADAPTER_WEIGHTS]
        adapter_stamps = tuple(self._stamp(file, _ADAPTER) for file in files)
        return Found(folder=folder, stamps=stamps, adapter=adapter, adapter_stamps=adapter_stamps)

    def components(self, found: Found) -> dict[str, str]:
        """Digests by name: weights, tokenizer, chat_template, config; for an adapter also `adapter` and `form`.

        Reads every byte of new files. Raises CandorError BAD_CHECKPOINT or ADAPTER_MISMATCH.
        """
        folder = found.folder
        weights = {file.name: self._hash(file) for file in sorted(folder.glob("*.safetensors"))}
        tokenizer = {name: self._json_or_hash(folder / name) for name in _TOKENIZER if (folder / name).is_file()}
        config = {name: self._json_or_hash(folder / name) for name in _CONFIG if (folder / name).is_file()}
        parts = {
            "weights": _digest(weights),
            "tokenizer": _digest(tokenizer),
            "config": _digest(config),
            "chat_template": _digest(chat_template(folder)),
        }
        if found.adapter is not None:
            said = read_adapter_config(found.adapter)
            adapters.check_fit(said, adapter_shapes(found.adapter), self._base_shapes(folder))
            shaping = [adapters.shaping(said), self._hash(found.adapter / _ADAPTER_WEIGHTS)]
            parts |= {"adapter": _digest(shaping), "form": "adapter"}
        return parts

    def _base_shapes(self, folder: Path) -> adapters.Shapes:
        return _shapes(sorted(folder.glob("*.safetensors")), _BASE)

    def _stamp(self, file: Path, where: str) -> Stamp:
        resolved = self.guard.check_inside(file, where)
        status = resolved.stat()
        return str(resolved), status.st_size, status.st_mtime_ns

    def _hash(self, file: Path) -> str:
        stamp = self._stamp(file, _BASE)
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
        value = _read_json(file, _BASE)
        return {key: inner for key, inner in value.items() if key not in _VOLATILE}


def read_adapter_config(adapter: Path) -> Mapping[str, Any]:
    """What an adapter says of itself, checked; raises CandorError BAD_CHECKPOINT."""
    said = _read_json(adapter / _ADAPTER_CONFIG, _ADAPTER)
    adapters.check_config(said)
    return said


def adapter_shapes(adapter: Path) -> adapters.Shapes:
    """Tensor shapes of an adapter's folder."""
    return _shapes([adapter / _ADAPTER_WEIGHTS], _ADAPTER)


def check_unchanged(stamps: Sequence[Stamp], where: str) -> None:
    """Raise CandorError IDENTITY_CHANGED unless the files are still those that were hashed."""
    for path, size, time in stamps:
        try:
            status = Path(path).stat()
        except OSError:
            status = None
        if status is None or (status.st_size, status.st_mtime_ns) != (size, time):
            message = f"{where}: its files changed while it was being loaded; run again when they are whole"
            raise CandorError(Reason.IDENTITY_CHANGED, message)


def adapter_weights(adapter: Path) -> Path:
    """The file with an adapter's tensors."""
    return adapter / _ADAPTER_WEIGHTS


def chat_template(folder: Path) -> object:
    """The chat template as the folder gives it; raises CandorError BAD_CHECKPOINT if there is none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    config = folder / "tokenizer_config.json"
    found = _read_json(config, _BASE).get("chat_template") if config.is_file() else None
    if not found:
        raise _bad("it has no chat template; put the one of its base model into chat_template.jinja")
    return found


def _read_json(file: Path, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _bad(f"{file.name} is not JSON", where) from error
    if not isinstance(value, dict):
        raise _bad(f"{file.name} is not a JSON object", where)
    return value


def _shapes(files: Sequence[Path], where: str) -> adapters.Shapes:
    """Tensor names and shapes from the headers of safetensors files: an 8-byte length and JSON. Reads no tensor."""
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(min(length, _MOST_HEADER_BYTES)))
            found |= {name: tuple(map(int, said["shape"])) for name, said in header.items() if name != "__metadata__"}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _bad(f"{file.name} is not a safetensors file; copy or save it again", where) from error
    return found


def _mixed_up(folder: Path) -> str:
    return " but an adapter (name its base in path and this folder in adapter)" if _is_adapter(folder) else ""


def _is_adapter(folder: Path) -> bool:
    return (folder / _ADAPTER_CONFIG).is_file()


def _digest(value: object) -> str:
    return digest_of(json.dumps(value, sort_keys=True, ensure_ascii=False))


def _bad(what: str, where: str = _BASE) -> CandorError:
    return CandorError(Reason.BAD_CHECKPOINT, f"{where}: {what}")


def _bad_adapter(what: str) -> CandorError:
    return _bad(what, _ADAPTER)


def checkpoint_of(spec: ModelSpec) -> Checkpoint:
    """The checkpoint of a subject that is one."""
    assert isinstance(spec.source, Checkpoint), "routed by the type of source"
    return spec.source
