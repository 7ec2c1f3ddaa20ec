"""A checkpoint folder: what must be there, and what its digests depend on."""

import json
import os
from pathlib import Path

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from services.inference.backends.transformers.files import CheckpointFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "root" / "model"
    found.mkdir(parents=True)
    (found / "config.json").write_text(json.dumps({"hidden_size": 8, "transformers_version": "5"}))
    (found / "model.safetensors").write_bytes(b"weights")
    (found / "tokenizer.json").write_text("{}")
    (found / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ x }}", "eos_token": "</s>"}))
    return found


@pytest.fixture
def files(folder: Path) -> CheckpointFiles:
    return CheckpointFiles(Guard(Egress(artifact_roots=(folder.parent,))))


def error(files: CheckpointFiles, path: Path) -> CandorError:
    with pytest.raises(CandorError) as caught:
        files.components(files.stamps(str(path))[0])
    return caught.value


def test_each_kind_of_change_changes_its_own_digest(files: CheckpointFiles, folder: Path) -> None:
    def changed() -> set[str]:
        found = files.components(folder)
        return {name for name in found if found[name] != before[name]}

    before = files.components(folder)
    assert set(before) == {"weights", "tokenizer", "config", "chat_template"}
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert changed() == {"weights"}
    (folder / "model.safetensors").write_bytes(b"weights")
    assert changed() == set()
    (folder / "chat_template.jinja").write_text("{{ y }}")
    assert changed() == {"chat_template"}
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer.json").write_text('{"a": 1}')
    assert changed() == {"tokenizer"}
    (folder / "tokenizer.json").write_text("{}")
    (folder / "config.json").write_text(
        json.dumps({"hidden_size": 8, "transformers_version": "6", "_name_or_path": "y"})
    )
    assert changed() == set()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 16}))
    assert changed() == {"config"}


def test_a_second_shard_is_part_of_the_weights(files: CheckpointFiles, folder: Path) -> None:
    before = files.components(folder)
    (folder / "model-2.safetensors").write_bytes(b"more")
    assert files.components(folder)["weights"] != before["weights"]
    assert len(files.stamps(str(folder))[1]) == 5


def test_hashes_are_kept_until_size_or_time_changes(files: CheckpointFiles, folder: Path) -> None:
    weights = folder / "model.safetensors"
    status = weights.stat()
    before = files.components(folder)
    weights.write_bytes(b"WEIGHTS")  # the same size
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert files.components(folder) == before  # not read again
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert files.components(folder) != before


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", "safetensors"),
        ("tokenizer_config.json", "chat template"),
    ],
)
def test_what_is_missing_is_named_with_its_mend(files: CheckpointFiles, folder: Path, name: str, word: str) -> None:
    (folder / name).unlink()
    found = error(files, folder)
    assert found.reason is Reason.BAD_CHECKPOINT
    assert word in found.message


def test_pickled_weights_are_never_an_alternative(files: CheckpointFiles, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "never loaded" in error(files, folder).message


def test_a_folder_without_tokenizer_is_named(files: CheckpointFiles, folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert "tokenizer" in error(files, folder).message


def test_broken_json_is_named(files: CheckpointFiles, folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("{")
    assert "tokenizer_config.json is not JSON" in error(files, folder).message
    (folder / "tokenizer_config.json").write_text("[]")
    assert "tokenizer_config.json is not a JSON object" in error(files, folder).message


def test_a_file_that_is_a_link_out_of_the_roots_is_refused(
    files: CheckpointFiles, folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "elsewhere.safetensors"
    secret.write_bytes(b"x")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(secret)
    assert error(files, folder).reason is Reason.PATH_NOT_ALLOWED


def test_a_folder_that_is_not_there_is_not_found(files: CheckpointFiles, folder: Path) -> None:
    assert error(files, folder / "absent").reason is Reason.CHECKPOINT_NOT_FOUND
