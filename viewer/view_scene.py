"""`view-scene [MODEL or DATA ...]`: look at fields in a window, also while they learn; compare them side by side."""

import sys

from render.command import announce, run
from scenes.naming import require_named
from viewer.settings import ViewSettings

EXAMPLES = """
  view-scene chair.safetensors                           look around in a window
  view-scene chair.safetensors chair_vm.safetensors      side by side under one camera
  view-scene captures/chair                              watch it learn
  view-scene chair.safetensors --web                     in a browser
"""


def main() -> None:
    """Entry point."""
    run(ViewSettings, view, EXAMPLES)


def view(flags: ViewSettings) -> None:
    """Show it."""
    flags.check()
    for text in flags.inputs:
        require_named(text, "a model file, a data set or a mesh")
    require_named(flags.data, "a data set")
    announce("drawing" if flags.screenshot else "starting the viewer")
    from viewer.start import start

    start(flags)


if __name__ == "__main__":
    sys.argv[0] = "view-scene"
    main()
