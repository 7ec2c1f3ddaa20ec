"""A conversation file as its bytes arrive: classified conversations and problems, row by row."""

from __future__ import annotations

from collections.abc import Iterator

from services.rewriter.domain import categories
from services.rewriter.domain.reading.forms import NoConversationError, conversation, guess
from services.rewriter.domain.reading.rows import Row, Rows
from services.rewriter.domain.values import Problem, Read

DEFAULT_MAX_TURNS = 20


class Reader:
    """Feed it chunks, then `close`.

    Args:
        form: `sharegpt` or `messages`; empty: that of the first row that has one.
        max_turns: Longer conversations are cut.
    """

    def __init__(self, form: str = "", max_turns: int = DEFAULT_MAX_TURNS) -> None:
        self._rows = Rows()
        self._form = form
        self._max_turns = max_turns
        self._next = 0

    def feed(self, chunk: bytes) -> list[Read | Problem]:
        """What became whole. Raises CandorError BAD_DATASET with the byte position where the file is broken."""
        return list(self._read(self._rows.feed(chunk)))

    def close(self) -> list[Read | Problem]:
        """The rest. Raises CandorError BAD_DATASET where the file is cut off."""
        return list(self._read(self._rows.close()))

    def _read(self, rows: Iterator[Row]) -> Iterator[Read | Problem]:
        for row in rows:
            number, self._next = self._next, self._next + 1
            if row.problem:
                yield Problem(number, row.problem)
                continue
            self._form = self._form or guess(row.value)
            if not self._form:
                yield Problem(number, "the row has neither a list `conversations` nor a list `messages`")
                continue
            try:
                found, cut = conversation(row.value, self._form, number, self._max_turns)
            except NoConversationError as error:
                yield Problem(number, str(error))
            else:
                yield Read(number, found, categories.of(found.turns), cut)
