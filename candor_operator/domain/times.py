"""Times as Kubernetes writes them, and the times of a schedule."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterError

from chassis.errors import CandorError, FieldViolation, Reason, invalid

_BY_LOT = re.compile(r"(?<![A-Za-z])[HR](?![A-Za-z])", re.IGNORECASE)  # what Jenkins and croniter make of them


def read_time(text: str) -> datetime:
    """A time of the API server."""
    return datetime.fromisoformat(text)


def written(time: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Schedule:
    """The times at which to run.

    Raises:
        CandorError: BAD_DOCUMENT; the line or the zone means nothing.
    """

    def __init__(self, line: str, time_zone: str) -> None:
        problems = []
        try:
            self._zone = ZoneInfo(time_zone)
        except (ValueError, OSError, KeyError):
            problems.append(
                FieldViolation("time_zone", f"{time_zone!r} is not a time zone; write UTC or Europe/Berlin")
            )
        self._line = line
        if _BY_LOT.search(line):
            text = f"{line!r}: R and H are times drawn by lot: write the time"
            problems.append(FieldViolation("schedule", text))
        elif not _usable(line):
            text = f"{line!r} is not a cron line of five fields, for example 0 2 * * *"
            problems.append(FieldViolation("schedule", text))
        if problems:
            raise invalid("the schedule cannot be read", problems, Reason.BAD_DOCUMENT)

    def after(self, time: datetime) -> datetime:
        """The first time after this one.

        Raises:
            CandorError: BAD_DOCUMENT; there is none, as on the 30th of February.
        """
        return self._at(time, "get_next")

    def last(self, time: datetime) -> datetime:
        """The last time that is not after this one. Raises as `after` does."""
        return self._at(datetime.fromtimestamp(int(time.timestamp()) + 1, UTC), "get_prev")

    def _at(self, time: datetime, step: str) -> datetime:
        try:
            found: datetime = getattr(croniter(self._line, time.astimezone(self._zone)), step)(datetime)
        except CroniterError as error:
            problem = FieldViolation("schedule", f"{self._line!r} names a time that never comes")
            raise CandorError(Reason.BAD_DOCUMENT, "the schedule cannot be read", violations=(problem,)) from error
        return found.astimezone(UTC)


def _usable(line: str) -> bool:
    try:
        return len(line.split()) in (1, 5) and croniter.is_valid(line)
    except CroniterError:
        return False
