"""vLLM's own metrics passed on: a fixed choice of names and labels, so that nothing unbounded gets into ours.

vLLM counts requests to adapters under its base; the split by arm is ours (`candor_arm_items_total`).
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from services.inference.backends.vllm.engine import Engine

_SECONDS = 2.0
_NAMES = frozenset(
    f"vllm:{name}"
    for name in (
        *("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "num_preemptions"),
        *("prompt_tokens", "generation_tokens", "request_success", "prefix_cache_queries", "prefix_cache_hits"),
        *("e2e_request_latency_seconds", "time_to_first_token_seconds", "inter_token_latency_seconds"),
    )
)
_LABELS = frozenset({"le", "finished_reason"})


class EngineMetrics(Collector):
    """Asks each running engine at each scrape; one that does not answer is left out.

    Args:
        running: The engines there are now by their places; called in the scrape's own thread.
    """

    def __init__(self, running: Callable[[], Mapping[int, Engine]]) -> None:
        self._running = running

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before an engine runs; without this, registering would ask one."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The chosen families of all engines, told apart by their place."""
        families: dict[str, Metric] = {}
        up = Metric("candor_vllm_engine_up", "Whether an engine answers.", "gauge")
        restarts = Metric("candor_vllm_engine_restarts", "Engines that died and were started again.", "counter")
        for place, engine in self._running().items():
            labels = {"engine": str(place)}
            text = _scrape(engine.port)
            up.add_sample("candor_vllm_engine_up", labels, 1.0 if text else 0.0)
            restarts.add_sample("candor_vllm_engine_restarts_total", labels, float(engine.restarts))
            for family in text_string_to_metric_families(text):
                if family.name in _NAMES:
                    kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                    for name, found, value, *_ in family.samples:
                        if not name.endswith("_created"):
                            chosen = {label: found[label] for label in sorted(_LABELS & found.keys())}
                            kept.add_sample(name, labels | chosen, value)
        yield from (up, restarts, *families.values())


def _scrape(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read().decode(errors="replace") if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
