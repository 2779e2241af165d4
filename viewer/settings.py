"""What is looked at, and how. Nothing heavy is imported: flags are made of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from distill.photographs.settings import Settings
from render.mode_names import ModeName
from viewer.front.arrangement import Arrangement
from viewer.front.controls import SAMPLES

MOST = 4  # fields side by side


@dataclass(frozen=True)
class ViewSettings:
    """Look at models; train on a data set and watch; compare up to four under one camera."""

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[MODEL|DATA ...]")] = ()
    """model files, data sets or meshes (as for train-scene), builtin[:SIZE]; without any, an empty window"""
    data: str = ""
    """photographs to compare models with: a data set as for train-scene"""
    compare: Arrangement = "split"
    """how several are shown: side by side, wiped, or the difference of the first two"""
    mode: ModeName = "color"
    """what is drawn"""
    view: int | None = None
    """look through this camera: training cameras are counted first, then test cameras"""
    screenshot: Path | None = None
    """draw one picture into this PNG and end; needs no display"""
    size: tuple[int, int] = (0, 0)
    """width and height of the screenshot in pixels; 0 0: the camera's own"""
    passes: int = 0
    """samples per pixel; 0: 1 for screenshots, 16 in the window when nothing moves"""
    web: bool = False
    """show it in a browser instead of a window"""
    host: str = "127.0.0.1"
    """address that --web listens at; 0.0.0.0 lets others look and steer, who have the printed address and its token"""
    port: int = 8080
    """port of --web"""
    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)
    """how a field is trained, where a data set is among the inputs"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if len(self.inputs) > MOST:
            raise ValueError(f"at most {MOST} fields are shown side by side, found {len(self.inputs)}")
        if self.passes:
            SAMPLES.require("--passes", self.passes)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"--port must be 1 to 65535, found {self.port}")
        if self.view is not None and self.view < 0:
            raise ValueError(f"--view must be 0 or more, found {self.view}")
        if not all(0 <= n <= 16_384 for n in self.size) or (0 in self.size and any(self.size)):
            raise ValueError(f"--size must be two numbers of pixels, 1 to 16384; found {self.size[0]} {self.size[1]}")
