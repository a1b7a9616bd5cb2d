"""``python -m benchmarks [PART ...]``: measure some parts, or all, and write docs/benchmarks.md."""

import argparse
import json
import sys

from rich.console import Console

from benchmarks.parts import PARTS, measure
from benchmarks.report import write
from benchmarks.world import HOME, World

RESULTS = HOME / "results.json"


def main() -> int:
    """Measure, keep the figures, write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of: {', '.join(PARTS)} (default: all)")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console, world = Console(stderr=True), World()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in parts:
        with console.status(f"measuring {name}"):
            results[name] = measure(name, world)
        RESULTS.write_text(json.dumps(results, indent=1))
    write({name: results[name] for name in PARTS if name in results})
    console.print("docs/benchmarks.md is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
