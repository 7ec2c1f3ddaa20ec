"""The dataset hub over real HTTP: a local server that speaks the hub's schema."""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from chassis.errors import CandorError, Reason
from services.orchestrator.backends.dataset_hub import fetch
from services.orchestrator.backends.datasets import Datasets
from services.orchestrator.domain.spec import TaskRef

COMMIT = "c" * 40
ROW = {"question": "What is 1+1?", "answer": "#### 2"}
FILES = {"main/test-00000-of-00001.jsonl": json.dumps(ROW).encode() + b"\n", "README.md": b"hello"}
LIMIT = 2**20


@dataclass
class Hub:
    """Repositories by id and revision, and every path that was asked for."""

    repositories: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        kind, _, rest = path.removeprefix("/api").lstrip("/").partition("/")
        assert kind == "datasets"
        identity = "/".join(rest.split("/")[:2])
        if identity in self.refusals:
            status, code = self.refusals[identity]
            return status, {"X-Error-Code": code}, b"{}"
        tail = rest.removeprefix(identity).strip("/")
        revision = "main"
        if tail.startswith("revision/"):
            revision = tail.removeprefix("revision/")
        if tail.startswith("resolve/"):
            _, _, name = tail.partition("/")[2].partition("/")
            data = next(
                files[name] for (own, _), files in self.repositories.items() if own == identity and name in files
            )
            etag = hashlib.sha256(data).hexdigest()
            return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Content-Length": str(len(data))}, data
        if not any(own == identity for own, _ in self.repositories):
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        files = self.repositories.get((identity, revision))
        if files is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        siblings = [{"rfilename": name, "size": self.sizes.get(name, len(data))} for name, data in files.items()]
        return 200, {}, json.dumps({"id": identity, "sha": COMMIT, "siblings": siblings}).encode()


@pytest.fixture
def hub() -> Iterator[Hub]:
    state = Hub({("openai/gsm8k", "main"): FILES})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _send(self, body: bool) -> None:
            status, headers, data = state.answer(unquote(urlsplit(self.path).path))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def do_GET(self) -> None:
            self._send(body=True)

        def do_HEAD(self) -> None:
            self._send(body=False)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite runs with HF_HUB_OFFLINE=1; here the hub is this process."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `hub`")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def refused(hub: Hub, identity: str, cache: Path, reason: Reason, text: str, limit: int = LIMIT) -> None:
    with pytest.raises(CandorError) as caught:
        fetch(identity, cache, limit, hub.url)
    assert caught.value.reason is reason
    assert text in str(caught.value)


def test_the_files_of_a_public_dataset_come_with_their_commit(hub: Hub, tmp_path: Path) -> None:
    files, commit = fetch("openai/gsm8k", tmp_path, LIMIT, hub.url)
    assert [(file.name, file.data) for file in files] == [
        ("main/test-00000-of-00001.jsonl", FILES["main/test-00000-of-00001.jsonl"])
    ]
    assert commit == COMMIT
    assert not any("README" in path for path in hub.asked)


@pytest.mark.parametrize(("name", "called"), [("", "gsm8k"), ("sums", "sums")])
def test_a_hub_id_is_enough_for_a_task(hub: Hub, tmp_path: Path, name: str, called: str) -> None:
    source = Datasets(uploaded=lambda _: None, allow_hub=True, hub_cache=tmp_path, hub_endpoint=hub.url)
    task = source.load(TaskRef(name=name, hub="openai/gsm8k"), 1)
    assert (task.name, task.items[0].task, task.items[0].gold) == (called, called, ("2",))
    assert task.notes[0] == f"from the hub: openai/gsm8k at {COMMIT}"


def test_configuration_split_and_revision_of_the_id_win(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["openai/gsm8k", "v1"] = {"easy/train.jsonl": b"{}\n", "main/test.jsonl": b"[]\n"}
    files, _ = fetch("openai/gsm8k:easy/train@v1", tmp_path, LIMIT, hub.url)
    assert [file.name for file in files] == ["easy/train.jsonl"]


def test_a_repository_that_is_a_script_is_read_from_the_hubs_conversion(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["a/script", "main"] = {"load.py": b"import os"}
    hub.repositories["a/script", "refs/convert/parquet"] = {"default/test/0000.parquet": b"PAR1"}
    files, _ = fetch("a/script", tmp_path, LIMIT, hub.url)
    assert [file.name for file in files] == ["default/test/0000.parquet"]


def test_a_repository_without_data_lists_what_it_has(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["a/empty", "main"] = {"README.md": b""}
    refused(hub, "a/empty", tmp_path, Reason.BAD_DATASET, "a/empty has no files of data; it has no csv")


def test_too_large_is_refused_before_anything_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    hub.sizes["main/test-00000-of-00001.jsonl"] = 3 * LIMIT
    refused(hub, "openai/gsm8k", tmp_path, Reason.DATASET_TOO_LARGE, "its files have 3 MiB; at most 1")
    assert not any("/resolve/" in path for path in hub.asked)


def test_a_hub_that_lies_about_sizes_is_caught(hub: Hub, tmp_path: Path) -> None:
    hub.sizes["main/test-00000-of-00001.jsonl"] = 1
    refused(hub, "openai/gsm8k", tmp_path, Reason.DATASET_TOO_LARGE, "more than 0 MiB", limit=10)


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        ("nobody/nothing", "there is no such dataset, or it is private"),
        ("openai/gsm8k@v9", "there is no such revision"),
        ("not an id", "is not the id of a dataset; write owner/name"),
    ],
)
def test_a_wrong_id_is_said(hub: Hub, tmp_path: Path, identity: str, text: str) -> None:
    refused(hub, identity, tmp_path, Reason.BAD_DATASET, text)


def test_a_gated_dataset_says_how_to_get_in(hub: Hub, tmp_path: Path) -> None:
    hub.refusals["cais/MASK"] = (403, "GatedRepo")
    refused(hub, "cais/MASK", tmp_path, Reason.BAD_DATASET, "accept its terms on its page, then set HF_TOKEN")


def test_offline_mode_is_said_and_not_a_defect(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(hub, "openai/gsm8k", tmp_path, Reason.ENDPOINT_UNAVAILABLE, "OfflineModeIsEnabled")


def test_without_the_package_the_extra_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused(hub, "openai/gsm8k", tmp_path, Reason.BACKEND_MISSING, "pip install '.[hub]'")


def test_a_hub_that_cannot_be_reached_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(CandorError, match="give the task a path") as caught:
        fetch("openai/gsm8k", tmp_path, LIMIT, "http://127.0.0.1:9")
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE
    assert caught.value.retryable
