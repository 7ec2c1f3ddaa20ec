"""As many torch threads as are fastest just now.

On idle cores two threads train a miniature faster than one. Beside other load they take up to five times longer, because
every one of its small products waits for both. So both are tried, again and again, and the faster one is kept meanwhile;
the weights that come out do not depend on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Steps from one trial to the next, and steps of each count in a trial.
_PERIOD = 100
_TRIAL = 3


class FastestThreads:
    """Times the steps of a loop and sets the number of threads before each.

    Args:
        set_threads: Sets the number, for example `torch.set_num_threads`.
        most: Threads at most; with 1 there is nothing to choose.
        clock: Seconds.
    """

    def __init__(
        self, set_threads: Callable[[int], None], most: int, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._set = set_threads
        self._counts = tuple(dict.fromkeys((1, most)))
        self._clock = clock
        self._step = 0
        self._seconds: dict[int, float] = {}

    @contextmanager
    def step(self) -> Iterator[int]:
        """Run one step inside; gives the number of threads that it runs with."""
        place = self._step % _PERIOD
        if place == 0:
            self._seconds = {}
        on_trial = self._counts[place // _TRIAL :][:1]
        count = on_trial[0] if on_trial else min(self._seconds, key=self._seconds.__getitem__)
        self._set(count)
        start = self._clock()
        yield count
        if on_trial:
            self._seconds[count] = min(self._seconds.get(count, float("inf")), self._clock() - start)
        self._step += 1
