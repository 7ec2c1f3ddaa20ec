"""All files of a report; the replies are streamed, so that they never have to fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.orchestrator.backends.report.html import render_html
from services.orchestrator.backends.report.junit import render_junit
from services.orchestrator.backends.report.tables import write_comparisons, write_gates, write_responses
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import Report
from services.orchestrator.domain.verdict_json import verdict_json
from services.orchestrator.ports import FileBody


class FileReporter:
    """Implements `ports.Reporter`."""

    def files(self, report: Report, rows: Iterable[Record]) -> Mapping[str, FileBody]:
        """See ports."""
        return {
            "verdict.json": verdict_json(report).encode(),
            "junit.xml": render_junit(report),
            "report.html": render_html(report).encode(),
            "results/gates.parquet": lambda file: write_gates(report, file),
            "results/comparisons.parquet": lambda file: write_comparisons(report, file),
            "results/responses.parquet": lambda file: write_responses(rows, file),
        }
