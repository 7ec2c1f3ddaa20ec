"""JUnit XML: a test case for each gate, so that any CI shows the verdict as it shows tests."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from services.orchestrator.domain.gate.result import FAIL, INVALID, PASS, GateResult
from services.orchestrator.domain.report import Report

# Characters that XML 1.0 cannot hold.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def render_junit(report: Report) -> bytes:
    """A suite per evaluation; critical gates fail, err (INVALID) or are skipped (INCONCLUSIVE), advisory ones always pass."""
    suite = ET.Element(
        "testsuite",
        name=xml_text(report.name),
        timestamp=datetime.fromtimestamp(report.finished, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        time=f"{max(0.0, report.finished - report.created):.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (("verdict", report.verdict), ("evaluation", report.evaluation), ("reason", report.reason)):
        ET.SubElement(properties, "property", name=name, value=xml_text(value))
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for gate in report.gates:
        kind = _case(suite, report, gate)
        if kind:
            counts[kind] += 1
    if report.verdict == INVALID and not counts["error"]:
        case = ET.SubElement(suite, "testcase", classname="candor.invariants", name="invariants hold")
        ET.SubElement(case, "error", message=xml_text(report.reason))
        counts["error"] += 1
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(counts["failure"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + body + b"\n"


def _case(suite: ET.Element, report: Report, gate: GateResult) -> str:
    """Add a gate's case; returns the kind of trouble, or an empty string."""
    classname = f"candor.{report.name}.{gate.candidate}".replace(" ", "_")
    name = gate.gate if gate.critical else f"{gate.gate} (advisory)"
    case = ET.SubElement(suite, "testcase", classname=xml_text(classname), name=xml_text(name))
    if gate.decision == PASS:
        return ""
    if not gate.critical:
        ET.SubElement(case, "system-out").text = xml_text(gate.reason)
        return ""
    kind = {FAIL: "failure", INVALID: "error"}.get(gate.decision, "skipped")
    ET.SubElement(case, kind, {"message": xml_text(gate.reason), "type": gate.decision})
    return kind
