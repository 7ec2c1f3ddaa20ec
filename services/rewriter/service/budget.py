"""The spend cap of one request: what is under way counts as spent until it is known."""

from __future__ import annotations

from chassis.errors import CandorError, Reason


class Budget:
    """Says no before the next purchase would pass the cap. Currency units of the prices."""

    def __init__(self, cap: float | None) -> None:
        self._cap = cap
        self.spent = 0.0
        self._reserved = 0.0

    def reserve(self, estimate: float | None) -> float:
        """Set an estimate aside. Raises CandorError SPEND_CAP where it does not fit."""
        amount = estimate or 0.0
        if self._cap is not None and self.spent + self._reserved + amount > self._cap:
            message = f"the spend cap of {self._cap:g} is reached: {self.spent:.6g} spent; raise spend_cap to go on"
            raise CandorError(Reason.SPEND_CAP, message, metadata={"spent": f"{self.spent:.6g}"})
        self._reserved += amount
        return amount

    def settle(self, reserved: float, price: float | None) -> None:
        """Replace what was set aside by what it cost."""
        self._reserved -= reserved
        self.spent += price or 0.0
