"""The HTTP API: how many publications a second it takes."""

from bench.api.publishing import measure_batches, measure_single
from bench.hooks.comparison import Comparison

__all__ = ["API"]

API = (
    Comparison(("http-one",), measure_single),
    Comparison(("http-batch",), measure_batches),
)
