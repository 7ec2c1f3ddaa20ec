"""Write deploy/monitoring/prometheus-rule.yaml, the rules as Prometheus' operator takes them.

Run: python tools/render_prometheus_rule.py [--check].
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "monitoring"
TARGET = FOLDER / "prometheus-rule.yaml"
SOURCES = ("recording.yaml", "alerts.yaml")
_HEAD = f"# Written by tools/render_prometheus_rule.py from {' and '.join(SOURCES)}.\n"


def manifest() -> str:
    """The whole file."""
    groups: list[Any] = []
    for source in SOURCES:
        groups += YAML(typ="safe").load(FOLDER / source)["groups"]
    value = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "candor", "labels": {"app.kubernetes.io/part-of": "candor"}},
        "spec": {"groups": groups},
    }
    yaml = YAML()
    yaml.width = 4096  # an expression is one line
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(value, out)
    return _HEAD + out.getvalue()


def main() -> None:
    """Parse the command line, then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when the file is stale")
    text = manifest()
    if not parser.parse_args().check:
        TARGET.write_text(text, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != text:
        sys.exit("deploy/monitoring/prometheus-rule.yaml is stale, run python tools/render_prometheus_rule.py")


if __name__ == "__main__":
    main()
