"""The commands' first lines: a console script imports this file first, which takes a moment, so that Ctrl-C is one line
while all the rest is imported, which takes seconds."""

import sys


def start(module: str) -> None:
    """Run a command. Ctrl-C before `render/command.py` answers for it is answered here, and then no more."""
    try:
        import importlib  # in here, as all that takes time

        importlib.import_module(module).main()
    except KeyboardInterrupt:
        sys.stderr.write(f"{sys.argv[0].replace(chr(92), '/').rpartition('/')[2]}: interrupted\n")
        sys.exit(130)
    finally:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is written and told; to end takes a moment


def bench_scene() -> None:
    """`bench-scene`"""
    start("distill.bench_scene")


def convert_scene() -> None:
    """`convert-scene`"""
    start("distill.convert_scene")


def eval_scene() -> None:
    """`eval-scene`"""
    start("scenes.eval_scene")


def inspect_scene() -> None:
    """`inspect-scene`"""
    start("scenes.inspect_scene")


def render_scene() -> None:
    """`render-scene`"""
    start("render.render_scene")


def train_scene() -> None:
    """`train-scene`"""
    start("distill.train_scene")


def view_scene() -> None:
    """`view-scene`"""
    start("viewer.view_scene")
