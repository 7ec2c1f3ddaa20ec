"""A checkpoint whose libraries are not there, or do not load."""

import sys

import pytest

from chassis.errors import CandorError, Reason
from services.inference.backends.transformers.loading import place


class Unloadable:
    """Finds no module of a name, for a reason."""

    def __init__(self, name: str, error: Exception) -> None:
        self._name, self._error = name, error

    def find_spec(self, name: str, *_: object) -> None:
        if name == self._name:
            raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'torch'"),
        OSError("libcudart.so.13: cannot open shared object file"),
        ValueError("libcublas.so.*[0-9] not found in the system path"),
    ],
)
def test_a_torch_that_does_not_load_is_said_and_no_defect(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Unloadable("torch", error), *sys.meta_path])

    with pytest.raises(CandorError) as caught:
        place("auto", "auto")

    assert caught.value.reason is Reason.BACKEND_MISSING
    assert f"need torch, which does not load here ({error}): pip install '.[local]'" in caught.value.message
