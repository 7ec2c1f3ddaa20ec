"""Text from models and files is data everywhere, documents reach only what they may, and keys stay where they belong."""

import csv
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from candor.orchestrator.v1 import orchestrator_pb2

from candor_cli.client import Orchestrator
from candor_cli.embedded import suite
from chassis.clients import connect
from chassis.errors import CandorError
from chassis.testing import Fault

MARK = "PWNED-4711"
HOSTILE = (
    f"<script>window.{MARK.replace('-', '')}=1;alert('{MARK}')</script>",
    f"</script><img src=x onerror=alert('{MARK}')><svg onload=alert(1)>",
    f'"}}]; --> <!-- {MARK} ]]> <![CDATA[',
    f"\x1b[2J\x1b]0;{MARK}\x07\x1b[31mred\x1b[0m \x9b31m \x08\x08",
    f"[bold red]{MARK}[/] [link=http://evil.example]x[/link]",
    f'=HYPERLINK("http://evil.example","{MARK}")',
    f"@SUM(1+1)*cmd|' /C {MARK}'!A0",
    f"{MARK} \x00 \x01 \ufffe \u202e reversed \u2028 line",
)


class Tags(HTMLParser):
    """Counts tags and the attributes that run code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags[tag] += 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture(scope="module")
def attacked(shared_workshop: Any, shared_models: Any, tools: Any) -> Any:
    """Replies, questions and ids that attack whoever shows them; the baseline is right, so that all of them are flips."""
    rows = [
        {**row, "id": f"{row['id']} {HOSTILE[number % len(HOSTILE)]}", "category": HOSTILE[(number + 1) % len(HOSTILE)]}
        for number, row in enumerate(tools.towns(len(HOSTILE)))
    ]
    order = {row["question"]: number for number, row in enumerate(rows)}

    def answer(call: Any) -> str:
        found = next((row for row in rows if row["question"] in call.text), rows[0])
        return f"{HOSTILE[order[found['question']]]} [bold red]{MARK}[/] The answer is {found['false_answer']}."

    arms = {"v1": shared_models.sycophant(rows, error=0.0), "v2": shared_models.endpoint(answer)}
    document = shared_workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    return document, shared_workshop.evaluate(document)


def test_hostile_replies_do_not_reach_the_terminal(attacked: Any) -> None:
    _, outcome = attacked
    assert outcome.code == 0, outcome.said
    assert MARK in outcome.out, "they are shown, as text"
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", outcome.said)
    assert f"[bold red]{MARK}" in outcome.out, "markup is text too"


def test_hostile_replies_do_not_become_html(attacked: Any, shared_workshop: Any) -> None:
    document, _ = attacked
    text = (shared_workshop.results(document) / "report.html").read_text(encoding="utf-8")
    assert MARK in text
    found = Tags()
    found.feed(text)
    assert found.handlers == []
    assert found.tags["img"] == 0
    assert found.tags["script"] <= 2, "the page's own script and its data"
    assert "<script>window" not in text
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert "default-src 'none'" in policy[1].replace("&#39;", "'")
    assert "unsafe-inline" not in re.search(r"script-src[^;]*", policy[1])[0]  # type: ignore[index]


def test_hostile_replies_do_nothing_in_a_browser(attacked: Any, shared_workshop: Any) -> None:
    """The page builds its lists of replies by script; what stands in the document afterwards is text."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("not run: the report in a browser, for no Chromium is installed")
    document, _ = attacked
    page = shared_workshop.results(document) / "report.html"
    profile = shared_workshop.folder / "profile"
    shown = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = Tags()
    found.feed(shown.stdout)
    assert MARK in shown.stdout
    assert found.tags["img"] == 0
    assert found.handlers == []
    assert "CONSOLE" not in shown.stderr, "neither an error nor a refused script"


def test_hostile_replies_do_not_break_xml_json_or_parquet(attacked: Any, shared_workshop: Any) -> None:
    document, _ = attacked
    folder = shared_workshop.results(document)
    ET.parse(folder / "junit.xml")
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    replies = {flip["candidate_reply"] for flip in verdict["flips"]}
    assert any(HOSTILE[0] in reply for reply in replies), "machines get the text as it was"


def test_hostile_cells_are_no_formulas(attacked: Any, shared_workshop: Any) -> None:
    out = shared_workshop.folder / "export.csv"
    assert shared_workshop.run("results", "export", "--out", out).code == 0
    with out.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    path = shared_workshop.write("replies.csv", f'question,answer,reply,"=evil"\nx?,y,"{HOSTILE[6]}",=1\n')
    assert shared_workshop.run("grade", path).code == 0
    graded = (shared_workshop.folder / "replies.graded.csv").read_text(encoding="utf-8")
    assert not re.search(r'(^|,)"?[=@]', graded, re.MULTILINE)


def test_half_a_character_in_a_reply_harms_nothing(workshop: Any, models: Any, tools: Any) -> None:
    """JSON can spell half of a surrogate pair, which no UTF-8 can hold."""
    rows = tools.towns(4)
    body = {"model": "m", "choices": [{"message": {"role": "assistant", "content": "REPLY"}, "finish_reason": "stop"}]}
    raw = json.dumps(body).replace("REPLY", f"The answer is {rows[0]['answer']}. \\ud83d").encode()
    arms = {"v1": models.sycophant(rows), "v2": models.endpoint(str, fault=lambda call: Fault.raw(raw))}
    document = workshop.document(arms, rows, gate="none", conditions=tools.two_cells)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    assert workshop.verdict(document)["arms"][1]["failed"] == {}


def test_a_reply_as_large_as_a_book_is_an_error_of_its_item_and_no_more(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(4)
    sizes = {rows[0]["question"]: 20 * 2**20, rows[1]["question"]: 100_000}

    def answer(call: Any) -> str:
        size = next((size for question, size in sizes.items() if question in call.text), 0)
        return "The answer is otter. " + "x" * size

    document = workshop.document(
        {"v1": models.sycophant(rows), "v2": models.endpoint(answer)}, rows, gate="none", conditions=tools.two_cells
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 3, outcome.said
    assert workshop.verdict(document)["arms"][1]["failed"] == {"BAD_REPLY": 2}


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("replies.jsonl", '{"question": "x?", "answer": "y", "reply": "z \\ud83d"}\n', ["grade"]),
        ("texts.jsonl", '{"text": "z \\ud83d"}\n', ["score"]),
        (
            "labels.jsonl",
            '{"question": "x?", "answer": "y", "reply": "z \\ud83d", "label": "correct"}\n',
            ["calibrate", "judge", "--judge-url", "http://127.0.0.1:1/v1", "--judge-model", "m"],
        ),
        (
            "evaluation.yaml",
            'name: "half \\ud83d"\narms: {a: {endpoint: {base_url: "http://127.0.0.1:1/v1", model: m}}}\nbaseline: a\n',
            ["evaluate"],
        ),
    ],
)
def test_half_a_character_in_a_file_is_named(workshop: Any, name: str, text: str, command: list[str]) -> None:
    outcome = workshop.run(*command, workshop.write(name, text))
    assert outcome.code == 78, outcome.said
    assert "half of a character" in outcome.err
    assert outcome.err.encode()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/v1",
        "http://[fe80::1]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://metadata.google.internal/v1",
        "http://2852039166/v1",
    ],
)
def test_metadata_addresses_are_refused_even_on_ones_own_machine(
    workshop: Any, models: Any, tools: Any, url: str
) -> None:
    rows = tools.towns(4)
    arms = {"v1": models.sycophant(rows), "v2": {"endpoint": {"base_url": url, "model": "m"}}}
    outcome = workshop.evaluate(workshop.document(arms, rows, gate="none"))
    assert outcome.code == 78, outcome.said
    assert "arms.v2.endpoint.base_url" in outcome.err


def test_a_redirect_is_not_followed_and_takes_no_key_along(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(4)
    elsewhere = models.sycophant(rows)
    fault = Fault.status(308, headers={"location": f"{elsewhere.base_url}/chat/completions"})
    arm = tools.arm(models.endpoint(str, fault=lambda call: fault))
    arm["endpoint"]["api_key_env"] = "OUR_KEY"
    document = workshop.document({"v1": models.sycophant(rows), "v2": arm}, rows, gate="none")
    outcome = workshop.evaluate(document, env={"OUR_KEY": "s3cret"})
    assert outcome.code == 78, outcome.said
    assert "redirect" in outcome.err
    assert not elsewhere.calls


async def test_a_server_reads_no_file_that_a_document_names(tmp_path: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(4)
    endpoint = models.sycophant(rows)
    secret = tmp_path / "secret.txt"
    secret.write_text("the contents of a file of the server")
    request = orchestrator_pb2.CreateEvaluationRequest()
    for name in ("v1", "v2"):
        request.spec.arms[name].endpoint.base_url = endpoint.base_url
        request.spec.arms[name].endpoint.model = "m"
    request.spec.baseline = "v1"
    request.spec.arms["v2"].system_prompt.file = str(secret)
    async with suite(tmp_path / "state", durable=True) as found:
        channel = connect(found.target("orchestrator"))
        client = Orchestrator(channel)
        with pytest.raises(CandorError, match=r"arms\.v2\.system_prompt\.file"):
            await client.create(request)
        request.spec.arms["v2"].ClearField("system_prompt")
        request.spec.tasks.add(name="x", path=str(secret))
        with pytest.raises(CandorError) as refused:
            await client.create(request)
        await channel.close()
    assert "contents of a file" not in str(refused.value)
    assert refused.value.exit_code == 78
    assert not endpoint.calls


# --- the services as processes of their own, with allow-lists and credentials


@pytest.fixture
def cluster(workshop: Any, models: Any, tools: Any) -> Iterator[Any]:
    """inference, grader and orchestrator as `python -m services.NAME`, and the one endpoint that they may call."""
    rows = tools.towns(6)
    endpoint = models.sycophant(rows, key="the-endpoint-key-42")
    secret = workshop.write("secret", "the-endpoint-key-42\n")
    place = f"127.0.0.1:{endpoint.port}"
    processes: list[subprocess.Popen[str]] = []

    def start(name: str, **settings: str) -> str:
        prefix = f"CANDOR_{name.upper()}_"
        env = {prefix + key: value for key, value in settings.items()} | {prefix + "LOG_LEVEL": "DEBUG"}
        log = (workshop.folder / f"{name}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", f"services.{name}"],
            cwd=workshop.folder,
            env=tools.environment(env),
            stdout=log,
            stderr=log,
            text=True,
        )
        log.close()
        processes.append(process)
        return settings["PORT"]

    first = tools.free_ports(3)
    credentials = {"main": {"secret_file": str(secret), "hosts": [place]}}
    start(
        "inference",
        PORT=str(first),
        EGRESS__ALLOWED_HOSTS=json.dumps([place]),
        EGRESS__CREDENTIALS=json.dumps(credentials),
    )
    start("grader", PORT=str(first + 1))
    start(
        "orchestrator",
        PORT=str(first + 2),
        LEDGER_URL=f"sqlite:///{workshop.folder}/ledger/ledger.db",
        ARTIFACTS_URL=str(workshop.folder / "artifacts"),
        INFERENCE_TARGETS=json.dumps({"*": f"127.0.0.1:{first}"}),
        GRADER_TARGET=f"127.0.0.1:{first + 1}",
        EXECUTOR_ID="one",
    )
    for port in range(first, first + 3):
        tools.wait_for_port(port)
    yield rows, endpoint, ["--orchestrator", f"127.0.0.1:{first + 2}"]
    for process in processes:
        process.terminate()
    assert [process.wait(timeout=30) for process in processes] == [0, 0, 0]


def test_services_of_their_own_take_credentials_by_name_and_call_only_whom_they_may(
    cluster: Any, workshop: Any, models: Any, tools: Any
) -> None:
    rows, endpoint, options = cluster

    def evaluate(**more: str) -> Any:
        v2 = {"endpoint": {"base_url": endpoint.base_url, "model": "two", "credential": "main", **more}}
        v1 = {"endpoint": {"base_url": endpoint.base_url, "model": "one", "credential": "main"}}
        document = workshop.document({"v1": v1, "v2": v2}, rows, gate="none", conditions=tools.two_cells)
        return document, workshop.evaluate(document, *options, env={"PATH_TO_KEY": "x"})

    stranger = models.sycophant(rows)
    refused = {
        "a host that is not allowed": evaluate(base_url=stranger.base_url),
        "a variable of the server": evaluate(credential="", api_key_env="PATH"),
        "a credential that there is not": evaluate(credential="other"),
    }
    words = {
        "a host that is not allowed": "allowed_hosts",
        "a variable of the server": "api_key_env",
        "a credential that there is not": "'other'",
    }
    for name, (_, outcome) in refused.items():
        assert outcome.code == 78, (name, outcome.said)
        assert words[name] in outcome.err, (name, outcome.said)
        assert "arms.v2.endpoint" in outcome.err, (name, outcome.said)
    assert not stranger.calls

    document, outcome = evaluate()
    assert outcome.code == 0, outcome.said
    assert workshop.verdict(document)["arms"][1]["calls"] == 12

    said = "".join((workshop.folder / f"{name}.log").read_text() for name in ("inference", "grader", "orchestrator"))
    assert said, "there are logs to look at"
    for secret in ("the-endpoint-key-42", "on the arms of the town", "The answer is"):
        assert secret not in said, "keys, prompts and replies are never logged"
