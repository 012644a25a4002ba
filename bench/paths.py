"""Where the benchmark's files are."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
PEERS = HERE / "peers"
BIN = HERE / "bin"
RESULTS = HERE / "results"
RAW = RESULTS / "raw"
DOCUMENT = REPOSITORY / "docs" / "performance.md"
