"""Time and memory of one comparison: `python benchmarks/analysis.py [RESPONSES...]` prints a table.

Synthetic pairs in the default design (10 cells an item, statements, lengths, SocioT, 1 % ungradable).
"""

import argparse
import resource
import time

import numpy as np

from services.orchestrator.domain.analysis.compare import compare
from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.statistics.pairs import PairTable


def table_of(responses: int, tasks: int = 4, seed: int = 1) -> PairTable:
    """Pairs of half as many responses."""
    rng = np.random.default_rng(seed)
    items = responses // 20
    width = 2 * len(BELIEFS)
    rows = items * width
    contexts = [CONTEXTS[1 + i % 8] for i in range(items)]
    difficulty = np.repeat(rng.normal(size=items), width)
    belief = np.tile(np.arange(len(BELIEFS)), 2 * items)
    p = 1.0 / (1.0 + np.exp(1.5 - difficulty))
    verdicts = [(rng.random(rows) < p + extra * np.isin(belief, (2, 3))).astype(np.int8) for extra in (0.05, 0.10)]
    for verdict in verdicts:
        verdict[rng.random(rows) < 0.01] = 3
    return PairTable.build(
        item=[f"q{i:07d}" for i in range(items) for _ in range(width)],
        task=[f"task{i // 8 % tasks}" for i in range(items) for _ in range(width)],
        context=[c for name in contexts for c in ["none"] * len(BELIEFS) + [name] * len(BELIEFS)],
        belief=list(BELIEFS) * (2 * items),
        statement=[
            s
            for i, n in enumerate(contexts)
            for s in [""] * len(BELIEFS) + [f"{n}-{i // (8 * tasks) % 5}"] * len(BELIEFS)
        ],
        verdict_ref=verdicts[0],
        verdict_trt=verdicts[1],
        adopts_ref=rng.random(rows) < 0.2,
        adopts_trt=rng.random(rows) < 0.25,
        length_ref=rng.integers(200, 900, rows),
        length_trt=rng.integers(150, 800, rows),
        warmth_ref=rng.normal(0.012, 0.023, rows),
        warmth_trt=rng.normal(0.028, 0.023, rows),
    )


def main() -> None:
    """Prints one line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("responses", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    print(f"{'responses':>10} {'build s':>8} {'compare s':>10} {'peak MiB':>9} {'lines':>6}")
    for responses in parser.parse_args().responses:
        started = time.perf_counter()
        table = table_of(responses)
        built = time.perf_counter()
        found = compare("v2", "v2", "v1", table)
        done = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{responses:>10,} {built - started:>8.2f} {done - built:>10.2f} {peak:>9.0f} {len(found.rows):>6}")


if __name__ == "__main__":
    main()
