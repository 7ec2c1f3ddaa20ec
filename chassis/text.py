"""Text of others made fit for our messages: one line, no control characters, no secrets, cut; and quantities for people."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_SECRETS = re.compile(
    r"(?i)\b(?:sk|pk|rk|hf|ghp|gsk|xai|key)[-_][A-Za-z0-9_*-]{6,}|\bbearer\s+\S+|\beyJ[\w-]{8,}[\w.-]*"
)


def plain(text: str, longest: int = 300) -> str:
    """One printable line of at most `longest` characters; a cut ends in `...`."""
    text = _ESCAPES.sub("", text[: 20 * longest])
    text = "".join(char if char.isprintable() else " " for char in text)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3].rstrip() + "..."


def without_secrets(text: str, *known: str) -> str:
    """The text with the known secrets, and whatever looks like a key or token, replaced."""
    for secret in known:
        if secret:
            text = text.replace(secret, "[secret]")
    return _SECRETS.sub("[secret]", text)


def duration(seconds: float) -> str:
    """`1 h 05 min`, `3 min 20 s`, `12 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def gibibytes(size: float) -> str:
    """`1.5 GiB`."""
    return f"{size / 2**30:.1f} GiB"
