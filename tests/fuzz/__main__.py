"""`python -m tests.fuzz --count N --seed S`: hostile inputs over all readers, and how many were mishandled."""

import argparse
import functools
import sys
import time
from collections import Counter
from pathlib import Path

from .pool import Outcome, Task, attempts


def main() -> int:
    """Entry point. Exit status 1 where an input was mishandled."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="inputs")
    parser.add_argument("--seed", type=int, default=0, help="which inputs")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--seconds", type=float, default=10, help="of work on one input, after which it hangs")
    parser.add_argument("--kind", default="", help="those whose kind begins so alone")
    parser.add_argument("--only", default="", help="KIND:NUMBER, one input alone")
    parser.add_argument("--keep", default="", help="with --only: write the input into this folder")
    flags = parser.parse_args()
    tasks = chosen(flags.count, flags.seed, flags.kind, flags.only)
    begin, found = time.monotonic(), []
    if flags.keep:
        Path(flags.keep).mkdir(parents=True, exist_ok=True)
    for outcome in attempts(tasks, prepared(flags.seed, flags.keep), flags.workers, flags.seconds):
        found.append(outcome)
        if outcome.fault:
            kind, number = outcome.task
            print(f"{kind}:{number}  {outcome.fault}", flush=True)
    print_table(found, flags.seed, time.monotonic() - begin)
    return int(any(one.fault for one in found))


def chosen(count: int, seed: int, kind: str, only: str) -> list[Task]:
    """The inputs to try."""
    from .readers import drawn

    if only:
        name, _, number = only.rpartition(":")
        return [(name, int(number))]
    return [task for task in drawn(count, seed) if task[0].startswith(kind)]


def prepared(seed: int, keep: str):
    """What a worker does first."""
    from .readers import prepare

    return functools.partial(prepare, seed, keep)


def print_table(found: list[Outcome], seed: int, seconds: float) -> None:
    """Tried and mishandled, by kind."""
    tried, wrong = Counter(one.task[0] for one in found), Counter(one.task[0] for one in found if one.fault)
    print(f"\n{'kind':32}{'tried':>8}{'mishandled':>12}")
    for kind in sorted(tried):
        print(f"{kind:32}{tried[kind]:8}{wrong[kind]:12}")
    print(f"{'all':32}{tried.total():8}{wrong.total():12}   in {seconds:.0f} s")
    if wrong:
        print(f"one again: python -m tests.fuzz --seed {seed} --only 'KIND:NUMBER' --keep FOLDER")


if __name__ == "__main__":
    sys.exit(main())
