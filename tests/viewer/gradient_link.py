"""A worker for tests of front ends: it draws directions and distances instead of a field, at once."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from render.camera import Camera, Intrinsics, look_at
from viewer.messages import (
    Command,
    FieldOpened,
    FrameDrawn,
    FrameRequest,
    Photograph,
    RunProgress,
    ViewCamera,
    Views,
    WorkerReport,
    WorkerStarted,
)

BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
UNIT = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


def pose(x: float, y: float, z: float) -> torch.Tensor:
    """From there, the box's centre is looked at."""
    return look_at(torch.tensor([x, y, z]), torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0]))


def cameras(count: int = 2) -> tuple[Camera, ...]:
    """An album's."""
    return tuple(Camera(pose(2.5, -1.0 + i, 1.5), Intrinsics(110, 110, 50, 50), (100, 100)) for i in range(count))


def drawn(camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8: the colour of a pixel says in which direction and from where it looks."""
    rays = camera.rays()
    stripes = 0.5 + 0.5 * (rays.directions * 6 + rays.origins * 3).sin()
    return (stripes * 255).round().byte().reshape(camera.size[1], camera.size[0], 3).numpy()


class GradientLink:
    """`viewer.front.session.WorkerLink`: a pane for each name, which learns if `learns`; all that was sent is kept."""

    def __init__(self, names: tuple[str, ...] = ("chair",), cameras: tuple[Camera, ...] = (), learns: bool = True):
        self.sent: list[Command] = []
        self.alive = True
        self.waiting: list[WorkerReport] = [WorkerStarted("CPU, 1 thread", "workqueue")]
        if cameras:
            views = tuple(ViewCamera(f"r_{i}", "train", camera, True) for i, camera in enumerate(cameras))
            self.waiting.append(Views(views))
        for pane, name in enumerate(names):
            self.waiting.append(
                FieldOpened(
                    pane, name, f"{name}.safetensors", "hashgrid", "small", 1000, 4000, BOX, UNIT, (1.0, 1.0, 1.0)
                )
            )
            if learns:
                self.waiting.append(progress(pane, 0, "running"))

    @property
    def requests(self) -> list[FrameRequest]:
        """The pictures that were asked for."""
        return [command for command in list(self.sent) if isinstance(command, FrameRequest)]

    @property
    def asked(self) -> list[Command]:
        """Everything else."""
        return [command for command in list(self.sent) if not isinstance(command, FrameRequest)]

    def send(self, command: Command) -> None:
        """Answer a request with coarse or fine frames."""
        self.sent.append(command)
        if not isinstance(command, FrameRequest):
            return
        camera = command.camera
        if command.moving:
            camera = camera.resized(max(1, camera.size[0] // 4), max(1, camera.size[1] // 4))
        image = drawn(camera)
        for pane in command.panes:
            tinted = image if not pane else 255 - image
            self.waiting.append(FrameDrawn(command.number, pane, tinted, 1, 5.0, 1000, None, not command.moving))
        if command.view is not None:
            self.waiting.append(Photograph(command.view, image))

    def quit(self) -> None:
        """Gone at once."""
        self.alive = False

    def close(self) -> list[str]:
        """Nothing is left to be saved."""
        return []

    def reports(self) -> Iterator[WorkerReport]:
        """What has been answered."""
        while self.waiting:
            yield self.waiting.pop(0)


def progress(pane: int, step: int, life: str) -> RunProgress:
    """How a pane's learning goes."""
    report = RunProgress(
        pane, "running", step, 100, step / 100, "train", 0.1 / (1 + step), 20.0 + step / 10, step / 10, 1e6
    )
    return replace(report, life=life)
