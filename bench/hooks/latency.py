"""What webhooks add to the time of a delivery and of an acknowledgement, with and without dead targets beside."""

from functools import partial

from bench.generator import load_on
from bench.hooks.comparison import compared, more, times
from bench.hooks.receiver import Receiver, receiving
from bench.hooks.targets import batching, refusing
from bench.scenarios import Figures, Pace
from bench.servers import Running

QUIET = 1.0
"""Seconds without a webhook after which no more are expected."""


def measure(pace: Pace) -> dict[str, Figures]:
    """Compare no webhooks with one target."""
    with receiving() as receiver:
        pairs = compared([], [batching("hooks", receiver.port)], pace.pairs, _work(receiver, pace))
    return {
        "hooks-p99": {**times(pairs, "p99_ms"), "runs": pairs},
        "hooks-ack": more(pairs, "ack_p99_ms"),
    }


def measure_beside_dead(pace: Pace) -> dict[str, Figures]:
    """Compare one healthy target with the same beside one that refuses and one that never answers."""
    with receiving() as receiver, receiving("hang") as hanging, refusing() as refused:
        healthy = [batching("hooks", receiver.port)]
        dead = [batching("refusing", refused), batching("hanging", hanging.port)]
        pairs = compared(healthy, healthy + dead, pace.pairs, _work(receiver, pace))
    return {
        "hooks-down": {**times(pairs, "p99_ms"), "runs": pairs},
        "hooks-down-hook": times(pairs, "webhook_p99_ms"),
    }


def _work(receiver: Receiver, pace: Pace) -> partial[Figures]:
    return partial(_steady, receiver=receiver, pace=pace)


def _steady(server: Running, receiver: Receiver, pace: Pace) -> Figures:
    """Publish 300 times a second by the clock; the time counts from the moment a publication was due."""
    with load_on(server) as load:
        load.open(clients=100, rooms=1)
        receiver.reset()
        answer = load.run(rate=300, publishers=100, seconds=2 * pace.seconds, warm=pace.warm, acks=1)
        came = receiver.wait_for(answer["published"], quiet=QUIET)
    late = (
        0.0 if came["events"] >= answer["published"] else QUIET * 1e3
    )  # what never came took at least as long
    latencies = {f"webhook_{key}": max(late, came[key]) for key in ("p50_ms", "p90_ms", "p99_ms", "max_ms")}
    return {**answer, **latencies, "received": came["events"]}
