"""A checkpoint folder: what must be there, and what its digests depend on."""

import json
import os
from pathlib import Path

import pytest

from chassis.egress import Egress, Guard
from chassis.errors import CandorError, Reason
from services.inference.backends.files import CheckpointFiles, Found
from services.inference.domain.model import Checkpoint


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
        components(files, path)
    return caught.value


def components(files: CheckpointFiles, path: Path, adapter: Path | None = None) -> dict[str, str]:
    return files.components(find(files, path, adapter))


def find(files: CheckpointFiles, path: Path, adapter: Path | None = None) -> Found:
    return files.find(Checkpoint(path=str(path), adapter=str(adapter or "")))


def test_each_kind_of_change_changes_its_own_digest(files: CheckpointFiles, folder: Path) -> None:
    def changed() -> set[str]:
        found = components(files, folder)
        return {name for name in found if found[name] != before[name]}

    before = components(files, folder)
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
    before = components(files, folder)
    (folder / "model-2.safetensors").write_bytes(b"more")
    assert components(files, folder)["weights"] != before["weights"]
    assert len(find(files, folder).stamps) == 5


def test_hashes_are_kept_until_size_or_time_changes(files: CheckpointFiles, folder: Path) -> None:
    weights = folder / "model.safetensors"
    status = weights.stat()
    before = components(files, folder)
    weights.write_bytes(b"WEIGHTS")  # the same size
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert components(files, folder) == before  # not read again
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert components(files, folder) != before


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


@pytest.fixture
def adapter(folder: Path) -> Path:
    found = folder.parent / "adapter"
    found.mkdir()
    said = {"peft_type": "LORA", "r": 4, "target_modules": ["q"]}
    (found / "adapter_config.json").write_text(json.dumps(said))
    shapes = {"layers.0.q.lora_A.weight": [4, 8], "layers.0.q.lora_B.weight": [8, 4]}
    (found / "adapter_model.safetensors").write_bytes(tensors(shapes))
    (folder / "model.safetensors").write_bytes(tensors({"layers.0.q.weight": [8, 8]}))
    return found


def tensors(shapes: dict[str, list[int]], body: bytes = b"") -> bytes:
    header = json.dumps({name: {"dtype": "F32", "shape": shape} for name, shape in shapes.items()}).encode()
    return len(header).to_bytes(8, "little") + header + body


def test_an_adapter_adds_its_own_components_and_its_files_to_the_stamps(
    files: CheckpointFiles, folder: Path, adapter: Path
) -> None:
    base, both = components(files, folder), components(files, folder, adapter)
    assert both == base | {"adapter": both["adapter"], "form": "adapter"}
    assert len(find(files, folder, adapter).adapter_stamps) == 2
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"other weights")
    assert components(files, folder, adapter)["adapter"] != both["adapter"]


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_what_an_adapter_lacks_is_named(files: CheckpointFiles, folder: Path, adapter: Path, name: str) -> None:
    (adapter / name).rename(adapter / "adapter_model.bin")
    with pytest.raises(CandorError, match=name) as caught:
        find(files, folder, adapter)
    assert caught.value.reason is Reason.BAD_CHECKPOINT
    assert caught.value.message.startswith("model.checkpoint.adapter: ")


def test_an_adapter_that_is_no_folder_or_no_safetensors_is_named(
    files: CheckpointFiles, folder: Path, adapter: Path
) -> None:
    with pytest.raises(CandorError, match=r"model\.checkpoint\.adapter: there is no folder") as caught:
        find(files, folder, folder.parent / "absent")
    assert caught.value.reason is Reason.CHECKPOINT_NOT_FOUND
    for content in (b"", b"\xff" * 64, tensors({})[:9]):
        (adapter / "adapter_model.safetensors").write_bytes(content)
        with pytest.raises(CandorError, match="not a safetensors file"):
            components(files, folder, adapter)


def test_an_adapter_given_as_the_model_itself_is_told_where_it_belongs(
    files: CheckpointFiles, folder: Path, adapter: Path
) -> None:
    assert "name its base in path" in error(files, adapter).message
