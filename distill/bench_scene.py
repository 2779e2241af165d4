"""`bench-scene`: how fast ops, training steps and frames are; how good architectures and their conversions are."""

from distill.bench.settings import BenchSettings
from render.command import announce, run
from scenes.naming import require_named

EXAMPLES = """
  bench-scene                                     ops, training steps and frames on this machine
  bench-scene captures/chair --train --frames     where a step goes, beside what the machine can do
  bench-scene captures/chair --architectures      every architecture under one protocol, with a plot
"""


def main() -> None:
    """Entry point."""
    run(BenchSettings, run_bench, EXAMPLES)


def run_bench(flags: BenchSettings) -> None:
    """Measure what was asked for."""
    flags.check()
    require_named(flags.data, "a data set or a mesh")
    announce("getting ready to measure")
    from distill.bench.measure import measure

    measure(flags)


if __name__ == "__main__":
    main()
