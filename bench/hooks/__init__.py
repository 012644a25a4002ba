"""Webhooks: that they lose nothing, what they cost, and that a dead target costs others nothing."""

from bench.hooks import cost, flow, latency, million
from bench.hooks.comparison import Comparison

__all__ = ["HOOKS", "Comparison"]

HOOKS = (
    Comparison(("hooks-flow", "hooks-lost", "hooks-late"), flow.measure),
    Comparison(("hooks-cpu-1", "hooks-cpu"), cost.measure),
    Comparison(("hooks-p99", "hooks-ack"), latency.measure),
    Comparison(("hooks-down", "hooks-down-hook"), latency.measure_beside_dead),
    Comparison(("hooks-start", "hooks-million"), million.measure),
)
