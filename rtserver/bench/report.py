"""The outcome as text for people and as figures for machines."""

from typing import Any

from rtserver.bench.latency import Latencies
from rtserver.bench.load import Outcome

BAR = 40


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return everything, for --json."""
    plan, seconds = outcome.plan, outcome.publishing_for or 1.0
    return {
        "clients": plan.clients,
        "rooms": plan.rooms,
        "rate": plan.rate,
        "seconds": round(outcome.publishing_for, 3),
        "connected_in_s": round(outcome.connected_in, 3),
        "published": outcome.published,
        "accepted": outcome.accepted,
        "refused": dict(outcome.refused),
        "unanswered": outcome.published - outcome.ack.count,
        "delivered": outcome.delivered,
        "missing": outcome.missing,
        "lost_clients": outcome.lost,
        "publications_per_s": round(outcome.published / seconds, 1),
        "deliveries_per_s": round(outcome.delivered / seconds, 1),
        "delivery_ms": outcome.delivery.milliseconds(),
        "ack_ms": outcome.ack.milliseconds(),
    }


def text(outcome: Outcome) -> str:
    """Return the report to read."""
    found = figures(outcome)
    lines = [
        f"{found['clients']} clients in {found['rooms']} rooms, connected in {found['connected_in_s']:.2f} s",
        f"published   {found['published']:>10} {found['publications_per_s']:>10.1f}/s",
        f"delivered   {found['delivered']:>10} {found['deliveries_per_s']:>10.1f}/s",
        *_troubles(found),
        "",
        f"{'ms':<12}" + "".join(f"{name:>10}" for name in found["ack_ms"]),
        f"{'acknowledged':<12}" + _quantiles(found["ack_ms"]),
        f"{'delivered':<12}" + _quantiles(found["delivery_ms"]),
        "",
        *_histogram(outcome.delivery),
    ]
    return "\n".join(lines)


def _troubles(found: dict[str, Any]) -> list[str]:
    """Return a line for each thing that should not be, none when all went well."""
    refused = [f"refused     {count:>10} {reason}" for reason, count in found["refused"].items()]
    words = {"unanswered": "unanswered", "missing": "missing", "lost_clients": "clients lost"}
    return refused + [f"{word:<12}{found[key]:>10}" for key, word in words.items() if found[key]]


def _quantiles(milliseconds: dict[str, float]) -> str:
    return "".join(f"{value:>10.2f}" for value in milliseconds.values())


def _histogram(latencies: Latencies) -> list[str]:
    octaves = latencies.octaves()
    most = max((count for _, count in octaves), default=0)
    return [
        f"{'up to ' + _short(bound):>16} {'█' * round(BAR * count / most):<{BAR}} {count}"
        for bound, count in octaves
    ]


def _short(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
