"""Where files come from: uploads, local folders with and without permission, and how hub repositories are read."""

from pathlib import Path

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends import datasets
from services.orchestrator.backends.datasets import Datasets
from services.orchestrator.domain.spec import TaskRef
from services.orchestrator.domain.tasks import LOADERS
from services.orchestrator.domain.tasks.hub_files import choose, parse

ROWS = b"id,question,answer,false_answer\n1,Which city?,Paris,Rome\n"
DIGEST = "sha256:" + "0" * 64


def nothing(digest: str) -> None:
    return None


def make(*roots: Path, any_path: bool = False) -> Datasets:
    return Datasets(uploaded=nothing, roots=roots, any_path=any_path)


def refused(source: Datasets, ref: TaskRef, reason: Reason, text: str) -> None:
    with pytest.raises(CandorError) as caught:
        source.load(ref, 1)
    assert caught.value.reason is reason
    assert text in str(caught.value)


def test_the_built_in_task_needs_no_source() -> None:
    assert len(make().load(TaskRef(name="core"), 1).items) == 800


def test_an_uploaded_file_is_found_by_digest_and_read_by_its_suffix() -> None:
    source = Datasets(uploaded={DIGEST: ("../../x/my.csv", ROWS)}.get)
    task = source.load(TaskRef(name="mine", dataset=DIGEST), 1)
    assert task.items[0].gold == ("Paris",)
    assert [file.name for file in source.files(TaskRef(name="mine", dataset=DIGEST))] == ["my.csv"]


def test_an_unknown_digest_is_said() -> None:
    refused(make(), TaskRef(name="mine", dataset=DIGEST), Reason.BAD_DATASET, "tasks.dataset: no file of this digest")


def test_a_task_without_name_is_called_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "cities.csv").write_bytes(ROWS)
    assert make(tmp_path).load(TaskRef(name="", path=str(tmp_path / "cities.csv")), 1).name == "cities"


def test_a_path_inside_a_root_is_read_and_one_outside_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "my.csv").write_bytes(ROWS)
    source = make(inside)
    assert source.load(TaskRef(name="m", path=str(inside / "my.csv")), 1).items
    for path in (outside / "my.csv", inside / ".." / "out" / "my.csv", outside / "absent.csv", Path("my.csv")):
        refused(source, TaskRef(name="m", path=str(path)), Reason.PATH_NOT_ALLOWED, "tasks.path: ")
    assert make(any_path=True).load(TaskRef(name="m", path=str(outside / "my.csv")), 1).items


def test_a_link_out_of_a_root_is_refused_and_a_linked_root_works(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "my.csv").write_bytes(ROWS)
    (inside / "link.csv").symlink_to(outside / "my.csv")
    (tmp_path / "root").symlink_to(outside)
    refused(make(inside), TaskRef(name="m", path=str(inside / "link.csv")), Reason.PATH_NOT_ALLOWED, "lies outside")
    assert make(tmp_path / "root").load(TaskRef(name="m", path=str(outside / "my.csv")), 1).items


def test_a_missing_file_a_folder_and_a_loop_are_said(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    source = make(tmp_path)
    refused(source, TaskRef(name="m", path=str(tmp_path / "no.csv")), Reason.BAD_DATASET, "there is no such file")
    refused(source, TaskRef(name="m", path=str(tmp_path)), Reason.BAD_DATASET, "is a folder")
    refused(source, TaskRef(name="m", path=str(tmp_path / "loop.csv")), Reason.BAD_DATASET, "there is no such file")
    refused(source, TaskRef(name="m", path="a\0b"), Reason.PATH_NOT_ALLOWED, "lies outside")


def test_an_unreadable_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "my.csv").write_bytes(ROWS)
    monkeypatch.setattr(Path, "open", forbidden)  # root may read everything, and CI may be root
    refused(make(tmp_path), TaskRef(name="m", path=str(tmp_path / "my.csv")), Reason.BAD_DATASET, "Permission denied")


def test_a_device_is_no_file() -> None:
    refused(make(any_path=True), TaskRef(name="m", path="/dev/zero"), Reason.BAD_DATASET, "is not a file")


def test_a_file_over_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "MAX_BYTES", 1 << 20)
    (tmp_path / "my.csv").write_bytes(ROWS + b"\n" * (1 << 20))
    refused(
        make(tmp_path),
        TaskRef(name="m", path=str(tmp_path / "my.csv")),
        Reason.DATASET_TOO_LARGE,
        "larger than 1 MiB; split it",
    )


def test_hub_ids_are_refused_where_they_are_not_allowed() -> None:
    refused(make(), TaskRef(name="gsm8k", hub="openai/gsm8k"), Reason.HOST_NOT_ALLOWED, "tasks.hub: this server")


def test_the_catalog_lists_every_task_with_its_columns() -> None:
    found = {info.name: info for info in make().catalog()}
    assert list(found) == ["core", *LOADERS]
    assert found["core"].items == 800
    assert all(info.columns and info.description for info in found.values())


@pytest.mark.parametrize(
    ("hub", "parts"),
    [
        ("a/b", ("a/b", "", "", "")),
        ("a/b@v1", ("a/b", "", "", "v1")),
        ("a/b:main", ("a/b", "main", "", "")),
        ("a/b:main/test@refs/pr/1", ("a/b", "main", "test", "refs/pr/1")),
    ],
)
def test_hub_ids_may_name_configuration_split_and_revision(hub: str, parts: tuple[str, ...]) -> None:
    assert parse(hub) == parts


SHARDED = [
    ".gitattributes",
    "README.md",
    "main/test-00000-of-00002.parquet",
    "main/test-00001-of-00002.parquet",
    "main/train-00000-of-00001.parquet",
    "socratic/test-00000-of-00001.parquet",
]


@pytest.mark.parametrize(
    ("files", "config", "split", "chosen"),
    [
        (SHARDED, "main", "test", SHARDED[2:4]),
        (SHARDED, "main", "", SHARDED[2:4]),
        (SHARDED, "socratic", "", SHARDED[5:]),
        (["data/train-00000-of-00001-abc123.parquet", "README.md"], "", "train", ["data/train-00000-of-00001-abc123.parquet"]),
        (["x_train.jsonl", "x_test.jsonl", "x_test.csv"], "", "test", ["x_test.jsonl"]),
        (["default/test/0000.parquet", "default/test/0001.parquet"], "", "test", ["default/test/0000.parquet", "default/test/0001.parquet"]),
        (["questions.csv", "dataset_infos.json"], "", "test", ["questions.csv"]),
        (["questions.csv", "metadata.json"], "", "", ["questions.csv"]),
    ],
)  # fmt: skip
def test_files_of_a_configuration_and_split_are_found(
    files: list[str], config: str, split: str, chosen: list[str]
) -> None:
    assert choose(files, config, split) == (chosen, "")


@pytest.mark.parametrize(
    ("files", "config", "split", "fault"),
    [
        (SHARDED, "", "test", "several sets of files for test: main/test.parquet, socratic/test.parquet; write"),
        (SHARDED, "main", "dev", "has no files of main/dev; it has main/test.parquet"),
        (SHARDED, "other", "test", "has no files of other/test"),
        (["load.py"], "", "", "it has no csv, json, jsonl or parquet file"),
        (["a.csv", "b.csv"], "", "", "several sets of files: a.csv, b.csv"),
    ],
)
def test_a_repository_that_leaves_a_choice_says_how_to_make_it(
    files: list[str], config: str, split: str, fault: str
) -> None:
    names, text = choose(files, config, split)
    assert names == []
    assert fault in text
