"""Where conversation files may be: in allowed folders, or uploaded; and what is said where they are not."""

import hashlib
from pathlib import Path

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.conversation_files import LocalConversations
from services.orchestrator.backends.datasets import Datasets
from services.orchestrator.domain.recipe import ConversationRef


def _files(*roots: Path, any_path: bool = False) -> LocalConversations:
    uploaded = {"sha256:up": ("talks.jsonl", b"x" * 2_500_000)}
    return LocalConversations(Datasets(uploaded=uploaded.get, roots=roots, any_path=any_path))


def _refused(files: LocalConversations, ref: ConversationRef) -> CandorError:
    with pytest.raises(CandorError) as caught:
        files.open(ref)
    return caught.value


def test_a_file_comes_in_pieces_of_a_mebibyte_with_its_digest(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "talks.json").write_bytes(data)
    opened = _files(tmp_path).open(ConversationRef(path=str(tmp_path / "talks.json")))
    pieces = list(opened.chunks)
    assert max(map(len, pieces)) == 2**20
    assert b"".join(pieces) == data
    assert (opened.name, opened.digest) == ("talks.json", "sha256:" + hashlib.sha256(data).hexdigest())


def test_an_uploaded_file_is_known_by_its_digest() -> None:
    opened = _files().open(ConversationRef(dataset="sha256:up"))
    assert [len(piece) for piece in opened.chunks] == [2**20, 2**20, 2_500_000 - 2 * 2**20]
    assert (opened.name, opened.digest) == ("talks.jsonl", "sha256:up")


def test_what_is_not_uploaded_is_said() -> None:
    error = _refused(_files(), ConversationRef(dataset="sha256:other"))
    assert error.reason is Reason.BAD_DATASET
    assert error.violations[0].field == "conversations.dataset"


def test_a_link_does_not_lead_out_of_the_allowed_folders(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.json").write_text("[]")
    (tmp_path / "in" / "link.json").symlink_to(tmp_path / "secret.json")
    error = _refused(_files(tmp_path / "in"), ConversationRef(path=str(tmp_path / "in" / "link.json")))
    assert error.reason is Reason.PATH_NOT_ALLOWED
    assert error.violations[0].field == "conversations.path"
    assert _files(any_path=True).open(ConversationRef(path=str(tmp_path / "secret.json")))


@pytest.mark.parametrize(("name", "said"), [("gone.json", "no such file"), ("", "not a file")])
def test_what_is_no_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    error = _refused(_files(tmp_path), ConversationRef(path=str(tmp_path / name)))
    assert error.reason is Reason.BAD_DATASET
    assert said in error.violations[0].description
