"""`python -m bench [NAME...]`: run all measurements, or the named ones."""

import importlib
import sys

MEASUREMENTS = (
    "startup",
    "gateway",
    "load",
    "transfer",
    "memory",
    "scheduler",
    "builds",
    "engines",
)


def main() -> int:
    """Run them in order; answers the exit code."""
    wanted = sys.argv[1:] or MEASUREMENTS
    unknown = [name for name in wanted if name not in MEASUREMENTS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
        return 2
    for name in wanted:
        module = importlib.import_module(f"bench.{name}")
        print(f"\n## {name}: {(module.__doc__ or '').strip().splitlines()[0]}\n", flush=True)
        module.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
