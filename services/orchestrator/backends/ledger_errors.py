"""What the ledger's database cannot do, in our words: what waiting may mend is told from what it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from chassis.errors import CandorError, Reason

_DEFECTS = (sa.exc.IntegrityError, sa.exc.ProgrammingError, sa.exc.DataError, sa.exc.NotSupportedError)
_FULL = ("disk is full", "No space left")
# By SQLite's name of the error.
_SQLITE_UNUSABLE = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR")
_SQLITE_REFUSED = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")
# By SQLSTATE: authorization, no such database, insufficient privilege.
_POSTGRES_UNUSABLE = ("28", "3D000", "42501")
# A server that refuses a connection gives no SQLSTATE, only words.
_POSTGRES_REFUSALS = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what the database cannot do into a CandorError; anything else is a defect and passes.

    Raises:
        CandorError: LEDGER_LOCKED (waiting may help), LEDGER_FULL, LEDGER_UNUSABLE (no such database, wrong user or
            password, no database at all), STORAGE_UNUSABLE (the file cannot be opened or written).
    """
    try:
        yield
    except sa.exc.DatabaseError as error:
        reason = _reason(error.orig)
        if reason is Reason.LEDGER_LOCKED and isinstance(error, _DEFECTS):
            raise
        if reason is Reason.LEDGER_FULL:
            message = "the disk of the ledger is full; free space and give the same command again"
            raise CandorError(reason, message) from error
        raise CandorError(reason, f"the ledger cannot be used: {_first_line(error.orig)}") from error
    except sa.exc.TimeoutError as error:
        raise CandorError(Reason.LEDGER_LOCKED, "the ledger cannot be used: too many connections wait") from error


def _reason(error: BaseException | None) -> Reason:
    said = str(error)
    if any(words in said for words in _FULL):
        return Reason.LEDGER_FULL
    sqlite, postgres = getattr(error, "sqlite_errorname", None), getattr(error, "sqlstate", None)
    if sqlite is not None:
        if sqlite.startswith(_SQLITE_REFUSED):
            return Reason.STORAGE_UNUSABLE
        return Reason.LEDGER_UNUSABLE if sqlite.startswith(_SQLITE_UNUSABLE) else Reason.LEDGER_LOCKED
    if postgres is not None:
        return Reason.LEDGER_UNUSABLE if postgres.startswith(_POSTGRES_UNUSABLE) else Reason.LEDGER_LOCKED
    return Reason.LEDGER_UNUSABLE if any(words in said for words in _POSTGRES_REFUSALS) else Reason.LEDGER_LOCKED


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else f"the database gave no reason ({type(error).__name__})"
