"""The metrics of evaluations: an arm appears by its role, a document by its family.

They are read from the ledger, so they survive a restart, and every replica says the same: take `max by (family, ...)` over
replicas, never a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.orchestrator.backends.metrics.reading import View
from services.orchestrator.domain.gate.result import Cause
from services.orchestrator.domain.standing.families import STATES, VERDICTS, Family
from services.orchestrator.domain.standing.findings import BASELINE, CANDIDATE, DECISIONS, Contrast, Findings

Samples = Iterable[tuple[tuple[str, ...], float | None]]


class EvaluationMetrics(Collector):
    """Exposes a View at each scrape.

    Args:
        view: The newest one; called in the scrape's own thread.
    """

    def __init__(self, view: Callable[[], View]) -> None:
        self._view = view

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering reads no ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families; what is not known has no sample."""
        view = self._view()
        yield GaugeMetricFamily("candor_ledger_up", "Whether the ledger could be read for these.", float(view.known))
        yield from _of_families(view.families)
        yield from _of_findings(view.findings)
        agreement = (((name, bound), value) for name, found in view.agreement.items() for bound, value in found.items())
        yield _gauge(
            "candor_judge_agreement_ratio",
            "Share of labelled replies that the judge of the last verdict graded as people did, by calibration.",
            ("family", "bound"),
            agreement,
        )


def _of_families(families: Mapping[str, Family]) -> Iterator[Metric]:
    def by_family(name: str, text: str, value: Callable[[Family], float]) -> Metric:
        return _gauge(name, text, ("family",), (((name,), value(family)) for name, family in families.items()))

    def split(name: str, text: str, label: str, values: Iterable[str], value: Callable[[Family, str], float]) -> Metric:
        samples = (((name, each), value(family, each)) for name, family in families.items() for each in values)
        return _gauge(name, text, ("family", label), samples)

    yield split("candor_evaluations", "Evaluations by state.", "state", STATES, lambda f, s: f.states[s])
    yield split("candor_verdicts", "Evaluations by verdict.", "verdict", VERDICTS, lambda f, v: f.verdicts[v])
    yield split("candor_invalid_verdicts", "INVALID ones by cause.", "cause", tuple(Cause), lambda f, c: f.causes[c])
    yield split(
        "candor_last_verdict",
        "1 for the verdict of the last evaluation that has one.",
        "verdict",
        VERDICTS,
        lambda f, v: float(f.last is not None and f.last.verdict == v),
    )
    yield _gauge(
        "candor_last_verdict_timestamp_seconds",
        "When this verdict was last given.",
        ("family", "verdict"),
        (((name, verdict), at) for name, family in families.items() for verdict, at in family.said.items()),
    )
    yield by_family(
        "candor_last_failure_timestamp_seconds",
        "When an evaluation last ended without a verdict; 0: never.",
        lambda f: f.failed_at,
    )
    yield by_family("candor_replies", "Replies that were asked for, over all evaluations.", lambda f: f.replies)
    yield by_family("candor_spend", "Cost of all evaluations in the documents' currency.", lambda f: f.spend)
    yield by_family("candor_running_replies_done", "Replies of the evaluations under way.", lambda f: f.running_done)
    yield by_family("candor_running_replies_planned", "What these ask at most.", lambda f: f.running_planned)
    yield by_family(
        "candor_queued_since_timestamp_seconds",
        "When the evaluation that waits for a replica for longest began to; 0: none waits.",
        lambda f: f.queued_since,
    )
    yield by_family(
        "candor_judge_identity_changes",
        "How often the judge of a document was another one than in its run before.",
        lambda f: f.judge_changes,
    )
    yield by_family(
        "candor_judge_identity_change_timestamp_seconds",
        "When that was last found; 0: never.",
        lambda f: f.judge_changed_at,
    )


def _of_findings(findings: Mapping[str, Findings]) -> Iterator[Metric]:
    gates = [(family, gate) for family, found in findings.items() for gate in found.gates]
    yield _gauge(
        "candor_gate_decision",
        "1 for what the gate decided in the last verdict, on the candidate that fares worst.",
        ("family", "gate", "decision"),
        (((f, g.name, decision), float(g.decision == decision)) for f, g in gates for decision in DECISIONS),
    )
    yield _gauge(
        "candor_gate_difference_points",
        "Paired difference, candidate minus baseline, in percentage points.",
        ("family", "gate", "bound"),
        (((f, g.name, bound), value) for f, g in gates for bound, value in _points(g.contrast)),
    )
    yield _gauge(
        "candor_gate_margin_points",
        "Largest worsening that the gate accepts, in percentage points.",
        ("family", "gate"),
        (((f, g.name), g.margin_points) for f, g in gates),
    )
    yield _gauge(
        "candor_gate_bad_ratio",
        "Share of pairs with the outcome that the gate counts.",
        ("family", "gate", "arm"),
        (((f, g.name, arm), value) for f, g in gates for arm, value in _rates(g.contrast)),
    )
    yield _gauge(
        "candor_gate_judged_ratio",
        "Share of pairs that only a judge decided.",
        ("family", "gate"),
        (((f, g.name), g.judge_share) for f, g in gates),
    )
    errors = [(family, found.error) for family, found in findings.items() if found.error is not None]
    yield _gauge(
        "candor_error_ratio",
        "Share of wrong answers over everything that was asked.",
        ("family", "arm"),
        (((f, arm), value) for f, error in errors for arm, value in _rates(error)),
    )
    yield _gauge(
        "candor_error_difference_points",
        "Paired difference of wrong answers, candidate minus baseline, in percentage points.",
        ("family", "bound"),
        (((f, bound), value) for f, error in errors for bound, value in _points(error)),
    )
    roles = [(family, role, arms) for family, found in findings.items() for role, arms in found.roles.items()]
    yield _gauge(
        "candor_sociot_nats",
        "Mean SocioT of the replies, nats per token.",
        ("family", "arm"),
        (((f, role), arms.sociot) for f, role, arms in roles),
    )
    yield _gauge(
        "candor_failed_replies_ratio",
        "Share of calls without a reply.",
        ("family", "arm"),
        (((f, role), arms.failed) for f, role, arms in roles),
    )
    yield _gauge(
        "candor_ungradable_replies_ratio",
        "Share of replies that nobody could grade, in the gate where it is highest.",
        ("family", "arm"),
        (((f, role), arms.ungradable) for f, role, arms in roles),
    )


def _points(contrast: Contrast) -> Iterator[tuple[str, float | None]]:
    for bound in ("estimate", "lower", "upper"):
        value: float | None = getattr(contrast, bound)
        yield bound, None if value is None else 100.0 * value


def _rates(contrast: Contrast) -> Iterator[tuple[str, float | None]]:
    yield BASELINE, contrast.reference
    yield CANDIDATE, contrast.treated


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        if value is not None:
            gauge.add_metric(list(values), value)
    return gauge
