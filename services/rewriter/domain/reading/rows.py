"""Bytes in, JSON values out, as soon as each is whole: a JSON array, or JSON lines.

Holds at most one unfinished row and one chunk. A row above `MAX_ROW_BYTES` is skipped and reported, wherever it ends.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chassis.errors import CandorError, Reason
from services.rewriter.domain.reading.skipping import Skipper

MAX_ROW_BYTES = 8 * 2**20
_SPACE = re.compile(r"[ \t\r\n]*")
_START = re.compile(r"[ \t\r\n]*\ufeff?[ \t\r\n]*")
_TOO_LONG = f"the row is longer than {MAX_ROW_BYTES // 2**20} MiB"
_TOO_DEEP = "the row is nested too deeply"
_NOT_JSON = "the row is not JSON"
_SEVERAL_LINES = "the first object goes on over several lines: the file must be a JSON list of conversations, or hold one whole object a line"


@dataclass(frozen=True, slots=True)
class Row:
    """A JSON value, or why there is none."""

    value: Any = None
    problem: str = ""


class Rows:
    """Feed it chunks, then `close`. Raises CandorError BAD_DATASET where the file itself is broken."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._read_bytes = 0  # of the file, up to the end of `_text` (an unfinished character excluded)
        self._form = ""
        self._skipper: Skipper | None = None
        self._retry_at = 0  # an unfinished row is looked at again once the buffer is so long
        self._between = True  # in an array: before a value
        self._rows = 0
        self._open = False  # in lines: the first one is the beginning of an object

    def feed(self, chunk: bytes) -> Iterator[Row]:
        """The rows that became whole."""
        self._append(chunk, final=False)
        yield from self._rows_of(final=False)

    def close(self) -> Iterator[Row]:
        """The rest."""
        self._append(b"", final=True)
        yield from self._rows_of(final=True)
        if not self._form:
            raise self._broken("the file is empty", 0)
        if self._form == "array":
            where = f"row {self._rows} is unfinished" if self._between or self._text else "the list is not closed"
            raise self._broken(f"the file is cut off: {where}", len(self._text))

    def _append(self, chunk: bytes, *, final: bool) -> None:
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            at = self._read_bytes + error.start
            kind = "the file is cut off inside a character" if final else "the file is not UTF-8"
            raise _bad(f"{kind} (byte {at:,})", at) from error
        self._read_bytes += pending + len(chunk) - len(self._decoder.getstate()[0])
        self._text += text

    def _rows_of(self, *, final: bool) -> Iterator[Row]:
        if not self._form:
            start = _START.match(self._text)
            assert start is not None, "matches always"
            self._text = self._text[start.end() :]
            if not self._text:
                return
            self._form = "array" if self._text[0] == "[" else "lines"
            if self._form == "array":
                self._text = self._text[1:]
        if self._form == "array":
            yield from self._array(final=final)
        elif self._form == "lines":
            yield from self._lines(final=final)
        elif self._text.strip():
            raise self._broken("there is text after the end of the list", 0)
        else:
            self._text = ""

    def _lines(self, *, final: bool) -> Iterator[Row]:
        *whole, rest = self._text.split("\n")
        self._text = rest
        for line in whole:
            if self._skipper is not None:  # the end of a row that was too long
                self._skipper = None
                yield self._row(Row(problem=_TOO_LONG))
            elif line.strip():
                self._check_first(line)
                yield self._row(self._line(line))
        if self._skipper is not None:
            self._text = ""
            if final:
                yield self._row(Row(problem=_TOO_LONG))
        elif _too_long(rest):
            self._skipper, self._text = Skipper(), ""
            if final:
                yield self._row(Row(problem=_TOO_LONG))
        elif final and rest.strip():
            self._check_first(rest)
            row = self._line(rest)
            if row.problem == _NOT_JSON and self._unfinished(rest):
                raise self._broken(f"the file is cut off: row {self._rows} is unfinished", len(rest))
            self._text = ""
            yield self._row(row)

    def _check_first(self, line: str) -> None:
        """A line that is cut off is a problem of its row; an object that the next line goes on with is another kind of file."""
        if self._rows == 0:
            self._open = self._unfinished(line)
        elif self._rows == 1 and self._open and not line.lstrip().startswith("{"):
            raise _bad(f"{_SEVERAL_LINES} (byte 0)", 0)

    def _line(self, line: str) -> Row:
        if _too_long(line):
            return Row(problem=_TOO_LONG)
        try:
            return Row(value=json.loads(line))
        except RecursionError:
            return Row(problem=_TOO_DEEP)
        except ValueError:
            return Row(problem=_NOT_JSON)

    def _unfinished(self, text: str) -> bool:
        skipper = Skipper()
        return text.lstrip().startswith("{") and skipper.end(text, 0) is None

    def _array(self, *, final: bool) -> Iterator[Row]:
        at = 0
        while self._form == "array":
            at = _SPACE.match(self._text, at).end()  # type: ignore[union-attr]  # matches always
            if at >= len(self._text):
                break
            if self._skipper is not None:
                row, end = self._skip(at)
            elif not self._between:
                row, end = None, self._separator(at)
            else:
                row, end = self._value(at, final=final)
            if end is None:
                break
            if row is not None:
                yield self._row(row)
            at = end
        self._text = self._text[at:]

    def _separator(self, at: int) -> int:
        if self._text[at] == "]":
            self._form = "ended"
            if self._text[at + 1 :].strip():
                raise self._broken("there is text after the end of the list", at + 1)
        elif self._text[at] != ",":
            raise self._broken(f"the file is not JSON: a comma or ] is missing after row {self._rows - 1}", at)
        else:
            self._between = True
        return at + 1

    def _value(self, at: int, *, final: bool) -> tuple[Row | None, int | None]:
        text = self._text
        if text[at] == "]" and self._rows == 0:
            self._between = False
            return None, at
        held = len(text) - at
        if held < self._retry_at and not final:
            return None, None
        try:
            value, end = self._json.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            return self._unread(at, held, deep=isinstance(error, RecursionError))
        self._retry_at = 0
        if end == len(text) and not final and text[at] not in '{["':
            return None, None  # `12` may go on
        self._between = False
        return (Row(problem=_TOO_LONG) if _too_long(text[at:end]) else Row(value=value)), end

    def _unread(self, at: int, held: int, *, deep: bool) -> tuple[Row | None, int | None]:
        """An unfinished row waits; one that is whole, too deep or too long is a problem."""
        if self._text[at] not in "{[":
            if held > 64:
                raise self._broken(f"the file is not JSON: row {self._rows} is no object", at)
            return None, None
        end = Skipper().end(self._text, at)
        if end is not None:
            self._retry_at = 0
            self._between = False
            return Row(problem=_TOO_DEEP if deep else _NOT_JSON), end
        if deep or _too_long(self._text[at:]):
            self._skipper = Skipper(_TOO_DEEP if deep else _TOO_LONG)
            return self._skip(at)
        self._retry_at = held + max(held // 2, 4096)
        return None, None

    def _skip(self, at: int) -> tuple[Row | None, int | None]:
        skipper = self._skipper
        assert skipper is not None, "called while skipping"
        end = skipper.end(self._text, at)
        if end is None:
            self._text = ""
            return None, None
        self._skipper, self._between, self._retry_at = None, False, 0
        return Row(problem=skipper.why), end

    def _row(self, row: Row) -> Row:
        self._rows += 1
        return row

    def _broken(self, what: str, characters: int) -> CandorError:
        """An error at so many characters into the buffer."""
        at = self._read_bytes - len(self._text[characters:].encode())
        return _bad(f"{what} (byte {at:,})", at)


def _too_long(text: str) -> bool:
    return len(text) > MAX_ROW_BYTES or (4 * len(text) > MAX_ROW_BYTES and len(text.encode()) > MAX_ROW_BYTES)


def _bad(message: str, at: int) -> CandorError:
    return CandorError(Reason.BAD_DATASET, message, metadata={"byte": str(at)})
