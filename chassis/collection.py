"""How often Python looks for unreachable cycles. Its own rhythm suits scripts; a run holds a million small tuples."""

import gc

# New objects between two looks at the young, and young looks between two at the middle-aged.
_YOUNG, _MIDDLE, _OLD = 50_000, 20, 50


def collect_rarely() -> None:
    """For a process that lays out many long-lived objects: reference counting frees them, cycles are few.

    On a ledger of a million replies the collector's own rhythm took a quarter of the processor time.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
