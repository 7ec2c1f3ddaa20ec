"""See `chassis.running`."""

from chassis.running import running

__all__ = ["running"]
