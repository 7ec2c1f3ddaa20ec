"""Find the end of a JSON object or list without reading it."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'[\\"]')


class Skipper:
    """Follows brackets and strings over as many pieces as it takes."""

    def __init__(self, why: str = "") -> None:
        self.why = why
        self._depth = 0
        self._string = False
        self._escaped = False

    def end(self, text: str, start: int) -> int | None:
        """Position after the closing bracket, or None: go on with the next piece."""
        at = start
        if self._escaped and at < len(text):
            self._escaped = False
            at += 1
        while True:
            found = (_INSIDE if self._string else _OUTSIDE).search(text, at)
            if found is None:
                return None
            at = found.end()
            mark = found[0]
            if mark == "\\":
                if at >= len(text):
                    self._escaped = True
                    return None
                at += 1
            elif mark == '"':
                self._string = not self._string
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    return at
