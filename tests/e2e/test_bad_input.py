"""Bad documents, datasets, endpoints and command lines: what is wrong, where, how to mend it, and nothing half-written."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from chassis.testing import Fault

ENDPOINT = '{endpoint: {base_url: "URL", model: m}}'
GOOD = f"arms:\n  v1: {ENDPOINT}\n  v2: {ENDPOINT}\nbaseline: v1\n"


def arms(v1: str = ENDPOINT, v2: str = ENDPOINT) -> str:
    return f"arms:\n  v1: {v1}\n  v2: {v2}\nbaseline: v1\n"


# (document, words that must be said)
DOCUMENTS = {
    "unknown field": (GOOD + "gates: {margin_pp: 2}\n", ["gates (line 5)", "did you mean gate?"]),
    "unknown field inside": (GOOD + "gate:\n  margin: 2\n", ["gate.margin (line 6)", "margin_pp"]),
    "all mistakes at once": (
        arms(v2="{endpoint: {url: x, model: 3}}") + "repeats: many\nseed: 1\n",
        [
            "arms.v2.endpoint.url (line 3)",
            "arms.v2.endpoint.model (line 3)",
            "repeats (line 5)",
            "seed (line 6)",
            "4 fields",
        ],
    ),
    "not YAML": (GOOD + "gate: {margin_pp: 2\n", ["line 6", "not valid YAML"]),
    "a key twice": (GOOD + "baseline: v2\n", ["line 5", "baseline"]),
    "empty": ("", ["empty", "arms"]),
    "a list": ("- a\n- b\n", ["must be a mapping"]),
    "no value": (GOOD + "gate:\n", ["gate (line 5)", "no value"]),
    "NaN": (GOOD + "gate: {margin_pp: .nan}\n", ["gate.margin_pp (line 5)", "finite"]),
    "infinite": (GOOD + "sampling: {temperature: .inf}\n", ["sampling.temperature (line 5)", "finite"]),
    "text for a number": (GOOD + "repeats: '2'\n", ["repeats (line 5)", "number"]),
    "number for text": (GOOD + "name: 7\n", ["name (line 5)", 'write "7"']),
    "no arms": ("baseline: v1\n", ["arms", "required"]),
    "one arm": (f"arms:\n  v1: {ENDPOINT}\nbaseline: v1\n", ["arms (line 1)", "candidate"]),
    "no baseline": (f"arms:\n  v1: {ENDPOINT}\n  v2: {ENDPOINT}\n", ["baseline", "required", "v1, v2"]),
    "unknown baseline": (GOOD.replace("baseline: v1", "baseline: old"), ["baseline (line 4)", "'old'", "v1, v2"]),
    "two candidates": (
        GOOD.replace("baseline", f"  v3: {ENDPOINT}\nbaseline"),
        ["gate.candidates", "required with 3 arms"],
    ),
    "unknown candidate": (GOOD + "gate: {candidates: [v9]}\n", ["gate.candidates[0] (line 5)", "'v9'", "v1, v2"]),
    "baseline as candidate": (GOOD + "gate: {candidates: [v1]}\n", ["gate.candidates[0] (line 5)", "is the baseline"]),
    "arm without a source": (arms(v2="{revision: x}"), ["arms.v2 (line 3)", "endpoint, checkpoint or sft"]),
    "arm with two sources": (
        arms(v2='{endpoint: {base_url: "URL", model: m}, checkpoint: {path: x}}'),
        ["arms.v2.checkpoint (line 3)", "endpoint"],
    ),
    "bad arm name": (GOOD.replace("v2:", '"v 2":'), ["arms.v 2 (line 3)", "letters"]),
    "no model": (arms(v2='{endpoint: {base_url: "URL"}}'), ["arms.v2.endpoint.model", "required"]),
    "not a URL": (
        arms(v2="{endpoint: {base_url: model-v2, model: m}}"),
        ["arms.v2.endpoint.base_url (line 3)", "http"],
    ),
    "password in the URL": (
        arms(v2='{endpoint: {base_url: "http://me:hunter22@127.0.0.1:1/v1", model: m}}'),
        ["arms.v2.endpoint.base_url (line 3)", "api_key_env"],
    ),
    "unset key variable": (
        arms(v2='{endpoint: {base_url: "URL", model: m, api_key_env: CANDOR_TEST_NO_SUCH_KEY}}'),
        ["arms.v2.endpoint.api_key_env", "CANDOR_TEST_NO_SUCH_KEY", "export it"],
    ),
    "two keys": (
        arms(v2='{endpoint: {base_url: "URL", model: m, api_key_env: A, credential: b}}'),
        ["arms.v2.endpoint (line 3)", "give one"],
    ),
    "empty system prompt": (arms(v2=ENDPOINT[:-1] + ', system_prompt: {text: ""}}'), ["arms.v2.system_prompt"]),
    "unknown built-in prompt": (
        arms(v2=ENDPOINT[:-1] + ", system_prompt: {builtin: hot}}"),
        ["arms.v2.system_prompt.builtin (line 3)", "warm or cold"],
    ),
    "missing prompt file": (
        arms(v2=ENDPOINT[:-1] + ", system_prompt: {file: nowhere.txt}}"),
        ["arms.v2.system_prompt.file (line 3)", "nowhere.txt", "No such file"],
    ),
    "bad age": (arms(v2=ENDPOINT[:-1] + ", reuse: {max_age: soon}}"), ["arms.v2.reuse.max_age (line 3)", "7d"]),
    "too hot": (GOOD + "sampling: {temperature: 3}\n", ["sampling.temperature (line 5)", "0 to 2"]),
    "no tokens": (GOOD + "sampling: {max_tokens: 0}\n", ["sampling.max_tokens (line 5)", "1 to"]),
    "unknown context": (
        GOOD + "conditions: {contexts: [none, sad]}\n",
        ["conditions.contexts[1] (line 5)", "emotion:sad"],
    ),
    "unknown belief": (GOOD + "conditions: {beliefs: [no]}\n", ["conditions.beliefs[0] (line 5)", "asserts_false"]),
    "unknown gate": (GOOD + "gate: {margins_pp: {warmth: 1}}\n", ["gate.margins_pp.warmth (line 5)", "false_belief"]),
    "no margin": (GOOD + "gate: {margin_pp: 0}\n", ["gate.margin_pp (line 5)", "above 0"]),
    "unknown stopping": (GOOD + "gate: {stopping: soon}\n", ["gate.stopping (line 5)", "group, fixed or anytime"]),
    "unknown mode": (GOOD + "gate: maybe\n", ["gate (line 5)"]),
    "no task of this name": (GOOD + "tasks: [{name: trivia}]\n", ["task 'trivia'", "use core"]),
    "a task twice": (GOOD + "tasks: [{name: core}, {name: core}]\n", ["tasks", "twice"]),
    "missing task file": (GOOD + "tasks: [{path: nowhere.csv}]\n", ["tasks[0].path (line 5)", "nowhere.csv"]),
    "two places of a task": (
        GOOD + "tasks: [{path: questions.jsonl, hub: a/b}]\n",
        ["tasks[0]", "give one of them"],
    ),
    "contrast of nobody": (
        GOOD + "contrasts: [{name: x, treated: v2, reference: v9}]\n",
        ["contrasts[0].reference (line 5)", "'v9'"],
    ),
    "unknown metric": (GOOD + "warmth: {metric: heat}\n", ["warmth.metric (line 5)", "sociot_warmth"]),
}

ROW = {"id": "a", "question": "Which animal barks?", "answer": "dog", "false_answer": "cat"}


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# (file name, bytes, words that must be said)
DATASETS = {
    "empty file": ("q.jsonl", b"", ["q.jsonl", "no rows"]),
    "header only": ("q.csv", b"id,question,answer\n", ["q.csv", "no rows"]),
    "id twice": ("q.jsonl", lines(ROW, ROW), ["q.jsonl:2:id", "'a'", "q.jsonl:1"]),
    "no answer column": ("q.csv", b"id,question\na,b?\n", ["q.csv", "answer"]),
    "empty answer": ("q.csv", b"id,question,answer\na,b?,\nc,,d\n", ["q.csv:2:answer", "q.csv:3:question"]),
    "not UTF-8": ("q.csv", b"id,question,answer\na,b?,caf\xe9\n", ["q.csv:2", "UTF-8"]),
    "NaN": ("q.jsonl", b'{"id": "a", "question": "b?", "answer": NaN}\n', ["q.jsonl:1:answer"]),
    "half a line": ("q.jsonl", lines(ROW) + b'{"id": "b", "que', ["q.jsonl:2", "not JSON"]),
    "a list in a line": ("q.jsonl", b"[1, 2]\n", ["q.jsonl:1", "object"]),
    "an open quote": ("q.csv", b'id,question,answer\na,"b?,c\n', ["q.csv", "quotation"]),
    "too many cells": ("q.csv", b"id,question,answer\na,b,c,d\n", ["q.csv:2", "4 cells"]),
    "not parquet": ("q.parquet", b"PAR1 nonsense", ["q.parquet", "parquet"]),
    "unknown suffix": ("q.xlsx", b"x", ["tasks[0].path (line", ".xlsx", ".csv"]),
    "a false answer that is right": (
        "q.jsonl",
        lines({**ROW, "false_answer": "Dog"}),
        ["q.jsonl:1:false_answer", "also an accepted answer"],
    ),
    "unknown kind": ("q.jsonl", lines({**ROW, "kind": "riddle"}), ["q.jsonl:1:kind", "'riddle'", "short_answer"]),
    "a broken conversation": (
        "q.jsonl",
        lines({"id": "a", "messages": [{"role": "robot", "content": "x"}], "answer": "y"}),
        ["q.jsonl:1:messages", "'robot'"],
    ),
    "a folder": ("q.csv/inner.txt", b"x", ["q.csv"]),
}


@pytest.fixture(scope="module")
def subject(shared_models: Any) -> Any:
    return shared_models.endpoint(lambda call: "The answer is dog.")


def check_refused(workshop: Any, outcome: Any, words: list[str], document: Any, code: int = 78) -> None:
    assert outcome.code == code, outcome.said
    assert outcome.out == ""
    assert "candor: " in outcome.err
    for word in words:
        assert word in outcome.err
    said = [line.removeprefix("candor: ") for line in outcome.err.splitlines()]
    assert len(said) == len(set(said)), "nothing is said twice"
    assert "Traceback" not in outcome.err
    assert not workshop.results(document).exists()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bad_document(workshop: Any, subject: Any, name: str) -> None:
    text, words = DOCUMENTS[name]
    workshop.write("questions.jsonl", lines(ROW))
    document = workshop.write("evaluation.yaml", text.replace("URL", subject.base_url))
    before = len(subject.calls)
    outcome = workshop.evaluate(document)
    check_refused(workshop, outcome, words, document)
    assert len(subject.calls) - before <= 1, "at most the probe question of the arm that is all right"
    assert "hunter22" not in outcome.said


@pytest.mark.parametrize("name", DATASETS)
def test_bad_dataset(workshop: Any, subject: Any, name: str) -> None:
    file, data, words = DATASETS[name]
    workshop.write(file, data)
    document = workshop.document(
        {"v1": subject, "v2": subject}, tasks=[{"name": "mine", "path": file.split("/", 1)[0]}], gate="none"
    )
    before = len(subject.calls)
    check_refused(workshop, workshop.evaluate(document), words, document)
    assert len(subject.calls) == before


def test_at_most_twenty_problems_are_listed_and_the_rest_counted(workshop: Any, subject: Any) -> None:
    workshop.write("q.jsonl", lines(*({**ROW, "id": str(number), "answer": ""} for number in range(50))))
    document = workshop.document({"v1": subject, "v2": subject}, tasks=[{"path": "q.jsonl"}])
    outcome = workshop.evaluate(document)
    check_refused(workshop, outcome, ["50 problems", "first 20"], document)
    assert len(outcome.err.splitlines()) == 21


def test_a_document_that_is_not_utf8_not_there_or_a_folder(workshop: Any) -> None:
    for name, data, words in (
        ("latin.yaml", b"name: caf\xe9\n", ["line 1", "UTF-8"]),
        ("huge.yaml", b"#" + b"x" * (4 * 2**20), ["larger than"]),
        ("folder/inner", b"x", ["folder"]),
    ):
        document = workshop.write(name, data)
        target = document if name != "folder/inner" else document.parent
        check_refused(workshop, workshop.evaluate(target), words, target)
    missing = workshop.folder / "nowhere.yaml"
    check_refused(workshop, workshop.evaluate(missing), ["nowhere.yaml", "No such file"], missing)


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def test_an_endpoint_that_is_not_there_is_named_within_seconds(workshop: Any, subject: Any, tools: Any) -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    document = workshop.document(
        {"v1": subject, "v2": {"endpoint": {"base_url": url, "model": "m"}}}, tools.towns(4), gate="none"
    )
    outcome = workshop.evaluate(document, "--json")
    check_refused(workshop, outcome, ["arm v2", url.removeprefix("http://").removesuffix("/v1"), "again"], document, 75)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda models: models.endpoint(str, key="right"), ["refused the key", "401"]),
        (lambda models: models.endpoint(str, models=["other"]), ["does not serve the model 'm'"]),
    ],
    ids=["wrong key", "unknown model"],
)
def test_an_endpoint_that_refuses_us(
    workshop: Any, subject: Any, models: Any, tools: Any, make: Callable[[Any], Any], words: list[str]
) -> None:
    endpoint = make(models)
    arm = {"endpoint": {"base_url": endpoint.base_url, "model": "m", "api_key_env": "OUR_KEY"}}
    document = workshop.document({"v1": subject, "v2": arm}, tools.towns(4), gate="none")
    outcome = workshop.evaluate(document, "--json", env={"OUR_KEY": "wr0ng-and-secret"})
    check_refused(workshop, outcome, ["arm v2", *words], document)
    assert "wr0ng-and-secret" not in outcome.said


def test_a_key_that_is_wanted_and_not_given(workshop: Any, subject: Any, models: Any, tools: Any) -> None:
    endpoint = models.endpoint(str, key="right")
    document = workshop.document({"v1": subject, "v2": endpoint}, tools.towns(4), gate="none")
    check_refused(workshop, workshop.evaluate(document, "--json"), ["arm v2", "api_key_env"], document)


def test_a_key_from_the_environment_reaches_the_endpoint_and_no_file(
    workshop: Any, subject: Any, models: Any, tools: Any
) -> None:
    rows = tools.towns(4)
    endpoint = models.sycophant(rows, key="s3cret-value-of-the-key")
    arm = {"endpoint": {"base_url": endpoint.base_url, "model": "m", "api_key_env": "OUR_KEY"}}
    document = workshop.document({"v1": models.sycophant(rows), "v2": arm}, rows, gate="none")
    outcome = workshop.evaluate(document, env={"OUR_KEY": "s3cret-value-of-the-key"})
    assert outcome.code == 0, outcome.said
    assert "s3cret" not in outcome.said
    for path in workshop.folder.rglob("*"):
        assert not path.is_file() or b"s3cret-value-of-the-key" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.raw(b"<html>Not here</html>", 404), ["no chat completions", "base_url"]),
        (Fault.raw(b"<html>Welcome</html>"), ["arm v2"]),
        (Fault.status(307, headers={"location": "http://169.254.169.254/v1"}), ["redirect", "base_url"]),
    ],
    ids=["no such path", "a web page", "a redirect"],
)
def test_a_server_that_is_no_such_endpoint(
    workshop: Any, subject: Any, models: Any, tools: Any, fault: Fault, words: list[str]
) -> None:
    endpoint = models.endpoint(str, fault=lambda call: fault)
    document = workshop.document({"v1": subject, "v2": endpoint}, tools.towns(4), gate="none")
    outcome = workshop.evaluate(document, "--json")
    check_refused(workshop, outcome, words, document, 75 if "arm v2" in words else 78)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], ["document"]),
        (["evaluat", "x.yaml"], ["evaluat"]),
        (["evaluate", "x.yaml", "--limit", "some"], ["--limit"]),
        (["evaluate", "x.yaml", "--limit", "-1"], ["--limit"]),
        (["evaluate", "x.yaml", "--no-such-option"], ["--no-such-option"]),
        (["tasks"], []),
    ],
    ids=["no document", "no such command", "text for a number", "negative", "no such option", "no subcommand"],
)
def test_usage_errors_are_64_and_never_a_verdict(workshop: Any, arguments: list[str], words: list[str]) -> None:
    outcome = workshop.run(*arguments)
    if arguments == ["tasks"]:
        assert outcome.code in (0, 64)
        assert "list" in outcome.said
        return
    assert outcome.code == 64, outcome.said
    for word in words:
        assert word in outcome.err


def test_resume_and_new_exclude_each_other(workshop: Any, subject: Any) -> None:
    document = workshop.document({"v1": subject, "v2": subject})
    outcome = workshop.evaluate(document, "--resume", "x", "--new")
    assert outcome.code in (64, 78)
    assert "exclude" in outcome.err


def test_an_orchestrator_that_is_not_there(workshop: Any, subject: Any) -> None:
    document = workshop.document({"v1": subject, "v2": subject})
    no_port = workshop.evaluate(document, "--orchestrator", "localhost")
    assert no_port.code in (64, 78)
    assert "HOST:PORT" in no_port.err
    nobody = workshop.evaluate(document, "--orchestrator", f"127.0.0.1:{closed_port()}")
    check_refused(workshop, nobody, ["orchestrator"], document, 75)


def test_an_evaluation_that_is_not_there(workshop: Any, subject: Any, tools: Any) -> None:
    document = workshop.document({"v1": subject, "v2": subject}, tools.towns(4), gate="none")
    outcome = workshop.evaluate(document, "--resume", "20200101-000000-deadbeef")
    check_refused(workshop, outcome, ["20200101-000000-deadbeef"], document, 64)


def test_a_state_or_output_that_cannot_be_a_folder(workshop: Any, subject: Any, tools: Any) -> None:
    rows = tools.towns(4)
    document = workshop.document({"v1": subject, "v2": subject}, rows, gate="none")
    blocked = workshop.write("a-file", "x")
    state = workshop.evaluate(document, "--state", str(blocked))
    check_refused(workshop, state, ["a-file"], document, 75)
    out = workshop.evaluate(document, "--out", str(blocked))
    assert out.code == 75, out.said
    assert "a-file" in out.err
    assert blocked.read_text() == "x"
