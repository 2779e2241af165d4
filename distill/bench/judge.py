"""A peer's pictures before our scorer, and what is told of a peer."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from render.camera import Camera
from render.metrics import mean
from render.renderer import Frame, Pixels
from scenes.evaluate import median_frame_ms, score_views
from scenes.scene import Scene


@dataclass(frozen=True)
class PeerFigures:
    """One that has learnt."""

    seconds: float  # of learning
    steps: int
    psnr: float  # dB, mean over the test views
    frame_ms: float  # median over them
    model_bytes: int
    peak_memory_bytes: int

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def judge_pictures(scene: Scene, draw: Callable[[Camera], Tensor]) -> tuple[float, float]:
    """Mean PSNR of the test views in dB and median milliseconds of a frame; `draw` gives RGB (H, W, 3) in front of the
    scene's background."""

    def frame(camera: Camera) -> Frame:
        rgb = draw(camera)
        solid = torch.ones_like(rgb[..., 0])
        return Frame(Pixels(rgb, solid, solid), solid.int())

    scores = list(score_views(scene.test, scene.background, frame))
    return round(mean([one.score.psnr for one in scores]), 3), median_frame_ms(scores)
