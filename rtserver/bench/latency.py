"""Latencies in buckets: a long run at a high rate takes no more memory than a short one."""

from math import ceil, log2

PER_OCTAVE = 32
"""Buckets from one power of two to the next; a quantile is exact to 1/32 of an octave, two per cent."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


class Latencies:
    """Counts of latencies by size, from a microsecond up."""

    def __init__(self) -> None:
        self.count = 0
        self.max = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one latency."""
        micros = seconds * 1e6
        bucket = ceil(PER_OCTAVE * log2(micros)) if micros > 1 else 0
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.max = max(self.max, seconds)

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of the latencies does not exceed; 0 when there are none."""
        wanted = share * self.count
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(_upper(bucket), self.max)
        return self.max

    def milliseconds(self) -> dict[str, float]:
        """Return the usual quantiles and the maximum."""
        found = {name: self.quantile(share) for name, share in QUANTILES.items()} | {"max": self.max}
        return {name: round(seconds * 1e3, 3) for name, seconds in found.items()}

    def octaves(self) -> list[tuple[float, int]]:
        """Return counts by powers of two: the upper bound in seconds and how many are below it, for a picture."""
        counts: dict[int, int] = {}
        for bucket, count in self._buckets.items():
            octave = ceil(bucket / PER_OCTAVE)
            counts[octave] = counts.get(octave, 0) + count
        if not counts:
            return []
        return [(_upper(o * PER_OCTAVE), counts.get(o, 0)) for o in range(min(counts), max(counts) + 1)]


def _upper(bucket: int) -> float:
    return float(2 ** (bucket / PER_OCTAVE)) * 1e-6
