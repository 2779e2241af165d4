"""Score a field against photographs it has not seen."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from render.camera import Camera
from render.metrics import Protocol, Quality, Score, score
from render.renderer import Frame
from scenes.scene import View


@dataclass(frozen=True)
class Scored:
    """One photograph beside its rendering."""

    view: View
    frame: Frame
    truth: Tensor  # (H, W, 3) float32 over the scene's background
    render: Tensor  # (H, W, 3) float32 in [0, 1], over the same background
    score: Score
    seconds: float  # to draw the frame


def over_background(image: Tensor, background: Tensor) -> Tensor:
    """Photograph (H, W, 4) uint8 with straight alpha -> RGB (H, W, 3) in front of a background (3,)."""
    rgb, alpha = image[..., :3].float() / 255, image[..., 3:].float() / 255
    return torch.lerp(background.expand_as(rgb), rgb, alpha)


def score_views(
    views: tuple[View, ...], background: tuple[float, float, float], draw: Callable[[Camera], Frame]
) -> Iterator[Scored]:
    """Draw and score every view in turn."""
    backdrop = torch.tensor(background)
    for view in views:
        begin = time.perf_counter()
        frame = draw(view.camera)
        render = frame.pixels.over(backdrop.to(frame.pixels.rgb.device)).clamp(0, 1).cpu()
        seconds = time.perf_counter() - begin
        truth = over_background(view.image, backdrop)
        try:
            result = score(view.name, render, truth, view.valid)
        except ValueError as error:
            raise ValueError(f"{view.name}: {error}") from None
        yield Scored(view, frame, truth, render, result, seconds)


def median_frame_ms(scores: Sequence[Scored]) -> float:
    """Milliseconds of a frame, to a tenth. ValueError where there are none."""
    return round(statistics.median(s.seconds for s in scores) * 1e3, 1)


def summarise(scores: list[Scored], background: tuple[float, float, float], split: str, downscale: int) -> Quality:
    """Scores with the protocol they were taken under. ValueError where there are none."""
    if not scores:
        raise ValueError(f"no {split} pictures were scored")
    size = max((s.view.camera.size for s in scores), key=math.prod)
    return Quality(tuple(s.score for s in scores), Protocol(split, background, size, len(scores), downscale))
