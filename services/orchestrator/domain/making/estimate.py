"""What the trainer expects of a job before it starts, in words."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.text import duration, gibibytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The trainer's preflight, as far as it looks ahead.

    Attributes:
        steps: In all.
        tokens: Computed in all steps, padding included.
        seconds: Of all steps; None where it was not estimated.
        basis: What the seconds rest on, or why there are none.
        memory_bytes: At the peak, on the device.
        free_bytes: Of the device; 0: unknown.
        device: Its name.
    """

    steps: int
    tokens: int
    seconds: float | None
    basis: str
    memory_bytes: int
    free_bytes: int
    device: str

    def time(self) -> str:
        """Seconds and what they rest on; empty when the trainer says nothing of them."""
        return self.basis if self.seconds is None else f"about {duration(self.seconds)}: {self.basis}"

    def memory(self) -> str:
        """Bytes at the peak, by arithmetic, and what is free."""
        free = f", {gibibytes(self.free_bytes)} free" if self.free_bytes else ""
        return f"about {gibibytes(self.memory_bytes)} by arithmetic{free}"

    def __str__(self) -> str:
        known = f"{self.steps:,} steps, {self.tokens:,} tokens with padding"
        memory = f"{gibibytes(self.memory_bytes)} of memory on {self.device}"
        if self.seconds is not None:
            return f"{known}, estimated {duration(self.seconds)}, {memory}"
        return f"{known}, {memory}" + (f"; time {self.basis}" if self.basis else "")
