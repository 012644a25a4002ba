#!/usr/bin/env python3
"""Fails when a lock file names an address: versions and hashes are what it is for."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[^\s;]+( ; [^\\]+)? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")


def python_problems(path: Path) -> Iterator[str]:
    """Every line is a pinned requirement, one of its hashes, or a comment."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line and not line.startswith("#") and not REQUIREMENT.fullmatch(line) and not HASH.fullmatch(line):
            yield f"{path.relative_to(ROOT)}:{number}: not a version or a hash: {line.strip()}"


def npm_problems(path: Path) -> Iterator[str]:
    """Every package has a hash and none says where it came from."""
    for name, package in json.loads(path.read_text())["packages"].items():
        if "resolved" in package and not package.get("link"):
            yield f"{path.relative_to(ROOT)}: {name} names an address; see `make lock` in CONTRIBUTING.md"
        elif name and "integrity" not in package and not package.get("link"):
            yield f"{path.relative_to(ROOT)}: {name} has no integrity hash"


def main() -> int:
    """Check every lock file of the repository and return the exit status."""
    problems: list[str] = []
    for path in sorted(ROOT.glob("requirements/*.txt")):
        problems += python_problems(path)
    for path in sorted(ROOT.glob("**/package-lock.json")):
        if "node_modules" not in path.parts and ".venv" not in path.parts:
            problems += npm_problems(path)
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
