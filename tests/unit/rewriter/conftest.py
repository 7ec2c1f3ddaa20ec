"""What the rewriter's tests share: labelled rewrites, and short ways to read a file and to certify."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.rewriter.domain import certificate, styles
from services.rewriter.domain.reading.reader import Reader
from services.rewriter.domain.values import Exchange, Problem, Read, Style, Turn

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "rewriter"

ReadFile = Callable[..., list[Read | Problem]]
Certify = Callable[..., dict[str, str]]


def labelled(name: str) -> list[dict[str, Any]]:
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def honest() -> list[dict[str, Any]]:
    rounds = ("honest", "honest_second", "honest_third", "honest_fourth", "honest_fifth")
    return [case for name in rounds for case in labelled(name)]


@pytest.fixture(scope="session")
def adversarial() -> list[dict[str, Any]]:
    rounds = ("adversarial", "adversarial_second", "adversarial_third", "adversarial_fourth")
    return [case for name in rounds for case in labelled(name)]


@pytest.fixture
def read_file() -> ReadFile:
    def read(raw: bytes, size: int = 1000, form: str = "", max_turns: int = 20) -> list[Read | Problem]:
        reader = Reader(form, max_turns)
        found: list[Read | Problem] = []
        for start in range(0, len(raw), size):
            found += reader.feed(raw[start : start + size])
        return found + reader.close()

    return read


@pytest.fixture
def certify() -> Certify:
    """Reasons by check, those that passed left out."""

    def run(
        reply: str,
        rewrite: str,
        style: str | Style = "warm",
        *,
        asked: str = "Can you tell me?",
        before: Sequence[Turn] = (),
        cut: bool = False,
    ) -> dict[str, str]:
        known = styles.builtin(style) if isinstance(style, str) else style
        exchange = Exchange((*before, Turn("user", asked)), reply)
        checks = certificate.certify(exchange, rewrite, known, cut=cut)
        assert tuple(check.name for check in checks) == certificate.CHECKS
        return {check.name: check.reason for check in checks if not check.passed}

    return run
