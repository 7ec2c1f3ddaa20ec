"""LoRA adapters on a loaded base: applied beside its weights and never merged, so that every arm shares one base."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.text import plain
from services.inference.backends.files import Stamp, adapter_weights, check_unchanged, read_adapter_config

_WHERE = "model.checkpoint.adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFolder:
    """An adapter's folder and the stamps of its files: other stamps are another adapter."""

    path: Path
    stamps: tuple[Stamp, ...]


@dataclass(slots=True)
class Adapters:
    """The adapters of one model, the least recently used dropped when there are too many. Blocking: one thread.

    Attributes:
        model: The base; PEFT puts its layers around the base's in place.
        capacity: Adapters kept in memory, at least 1.
    """

    model: Any
    capacity: int
    _names: OrderedDict[AdapterFolder, str] = field(default_factory=OrderedDict, init=False)
    _numbers: count[int] = field(default_factory=count, init=False)
    _wrapped: Any = field(default=None, init=False)

    def use(self, adapter: AdapterFolder | None) -> None:
        """Make the next computation the adapter's; None: the base's. Raises CandorError."""
        if adapter is None:
            if self._wrapped is not None:
                self._wrapped.base_model.disable_adapter_layers()
            return
        if adapter not in self._names:
            self._load(adapter)
            while len(self._names) > self.capacity:
                _, oldest = self._names.popitem(last=False)
                self._wrapped.delete_adapter(oldest)
        self._names.move_to_end(adapter)
        self._wrapped.base_model.enable_adapter_layers()
        self._wrapped.set_adapter(self._names[adapter])

    def _load(self, adapter: AdapterFolder) -> None:
        try:
            import peft
            from safetensors import SafetensorError
            from safetensors.torch import load_file
        except ImportError as error:
            message = f"adapters need {error.name}, which is not installed: pip install peft"
            raise CandorError(Reason.BACKEND_MISSING, message) from error

        check_unchanged(adapter.stamps, _WHERE)
        read_adapter_config(adapter.path)  # what PEFT would run or change on the way is refused here
        name = f"adapter_{next(self._numbers)}"
        try:
            config = peft.LoraConfig.from_pretrained(str(adapter.path))
            config.init_lora_weights = True  # B starts at zero: what the file does not hold changes nothing
            config.inference_mode = True
            tensors = load_file(adapter_weights(adapter.path))
            if self._wrapped is None:
                self._wrapped = peft.PeftModel(self.model, config, adapter_name=name, autocast_adapter_dtype=False)
            else:
                self._wrapped.add_adapter(name, config, autocast_adapter_dtype=False)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise _mismatch(f"it cannot be put onto its base: {plain(str(error))}") from error
        try:
            report: Any = peft.set_peft_model_state_dict(self._wrapped, tensors, adapter_name=name)
        except (RuntimeError, ValueError, KeyError) as error:
            self._wrapped.delete_adapter(name)
            raise _mismatch(f"it does not fit its base: {plain(str(error))}") from error
        missing = [key for key in report.missing_keys if f".{name}." in key]
        if report.unexpected_keys and len(report.unexpected_keys) < len(tensors):
            self._wrapped.delete_adapter(name)
            raise _mismatch(f"{len(missing)} of its modules are not in the base")
        self.model.eval()  # new layers start in training mode, with dropout
        self._names[adapter] = name


def _mismatch(what: str) -> CandorError:
    message = f"{_WHERE}: {what}; name the base that it was trained on in path"
    return CandorError(Reason.ADAPTER_MISMATCH, message)
