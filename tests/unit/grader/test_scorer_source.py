"""Which scorers a request may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from services.grader.backends.scorer_source import locator


def reason(egress: Egress, model: str, *, hub: bool = False) -> Reason:
    with pytest.raises(CandorError) as caught:
        locator(Guard(egress), hub=hub)(model)
    return caught.value.reason


def test_a_folder_inside_the_roots_is_found_by_its_relative_name(tmp_path: Path) -> None:
    (tmp_path / "scorers" / "tiny").mkdir(parents=True)
    found = locator(Guard(Egress(artifact_roots=(tmp_path,))), hub=False)("scorers/tiny")
    assert found == str((tmp_path / "scorers" / "tiny").resolve())


def test_a_folder_outside_the_roots_is_refused_also_behind_a_link(tmp_path: Path) -> None:
    roots, outside = tmp_path / "roots", tmp_path / "outside"
    roots.mkdir()
    outside.mkdir()
    (roots / "link").symlink_to(outside)
    egress = Egress(artifact_roots=(roots,))
    assert reason(egress, str(outside)) is Reason.PATH_NOT_ALLOWED
    assert reason(egress, "../outside") is Reason.PATH_NOT_ALLOWED
    assert reason(egress, "link") is Reason.PATH_NOT_ALLOWED


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert reason(Egress(artifact_roots=(tmp_path,)), "./missing") is Reason.CHECKPOINT_NOT_FOUND


def test_the_hub_needs_a_setting() -> None:
    assert reason(Egress(), "gpt2") is Reason.HOST_NOT_ALLOWED
    assert locator(Guard(Egress()), hub=True)("openai-community/gpt2") == "openai-community/gpt2"
