"""What is open in the worker: panes, the world that they share, and the album of views; and how they come there."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch

from distill import convert_scene
from render.model import LoadedModel, open_model
from scenes.scene import ReadOptions, load
from viewer.messages import Box, Convert, Learn, Photographs, Report, Told
from viewer.worker import album, learner
from viewer.worker.drawing import World, carried
from viewer.worker.learner import Learner
from viewer.worker.pane import Pane


class Shelf:
    """Fields, read or learning, and views to look through."""

    def __init__(self, device: torch.device, report: Callable[[Report], None]) -> None:
        self.device, self.report = device, report
        self.panes: dict[int, Pane] = {}
        self.opened = 0  # panes so far
        self.world: World | None = None  # of what was opened first
        self.entries: tuple[album.Entry, ...] = ()

    def pane(self, number: int) -> Pane:
        """A pane. ValueError where there is none (any more)."""
        if number not in self.panes:
            raise ValueError(f"pane {number} is closed")
        return self.panes[number]

    def open(self, path: str) -> Pane:
        """A model file in a new pane."""
        model = open_model(Path(path), self.device)
        self.world = self.world or World.of_model(model)
        pane = self.add(named(Path(path)), path, self.world, model=model)
        if not self.entries and (model.train_cameras or model.test_cameras):
            self.show_album(album.of_model(model, torch.linalg.inv(pane.carry)))
        self.report(pane.described())
        return pane

    def learn(self, command: Learn) -> Pane:
        """A field that learns from photographs, in a new pane."""
        self.report(Told(f"reading {command.data} ..."))
        job, scene = learner.training(command.data, command.settings, self.tell)
        self.world = self.world or World.of_learning(job.learning)
        pane = self.add(scene.name, command.data, self.world, learner=Learner(job))
        if not any(e.view for e in self.entries):
            self.show_album(album.of_scene(scene, torch.linalg.inv(pane.carry)))
        self.report(pane.described())
        return pane

    def photographs(self, command: Photographs) -> None:
        """A data set to compare with."""
        self.report(Told(f"reading {command.data} ..."))
        scene = load(command.data, ReadOptions(command.downscale))
        self.tell(scene.facts)
        self.world = self.world or World(scene.transform, scene.box)
        self.show_album(album.of_scene(scene, torch.linalg.inv(carried(self.world, scene.transform))))

    def convert(self, command: Convert) -> Pane:
        """A field that learns from another one, in a new pane."""
        teacher = self.pane(command.pane)
        path = teacher.path
        if teacher.learner:
            path = str(teacher.learner.job.files.model)
            if teacher.learner.life != "done":
                teacher.learning.save_model(Path(path), {}, b"")
        out = Path(command.folder(teacher.name))
        crop = (self.in_input(command.crop),) if command.crop else ()
        device: Literal["cpu", "cuda"] = "cuda" if self.device.type == "cuda" else "cpu"
        flags = convert_scene.Flags(
            path, to=command.to, preset=command.preset, steps=command.steps, crop=crop, out=out, device=device
        )
        job = learner.conversion(flags, self.tell)
        name = f"{teacher.name} as {job.learning.recipe.architecture}"
        pane = self.add(name, path, teacher.world, learner=Learner(job))
        self.report(pane.described())
        return pane

    def add(
        self, name: str, path: str, world: World, *, model: LoadedModel | None = None, learner: Learner | None = None
    ) -> Pane:
        """A new pane."""
        pane = Pane(self.opened, name, path, world, model, learner)
        self.panes[self.opened] = pane
        self.opened += 1
        return pane

    def in_input(self, box: Box) -> Box:
        """A box of the world in input coordinates. ValueError where these are turned against each other."""
        assert self.world is not None
        back = torch.linalg.inv(self.world.transform)
        turn = back[:3, :3] / back[0, 0]
        if not torch.allclose(turn, torch.eye(3, dtype=torch.float64), atol=1e-6):
            raise ValueError("the crop box does not lie along the axes of the data set's own coordinates")
        low, high = (torch.tensor([*box[i : i + 3], 1.0], dtype=torch.float64) @ back.T for i in (0, 3))
        x0, y0, z0, x1, y1, z1 = (*low[:3].tolist(), *high[:3].tolist())
        return x0, y0, z0, x1, y1, z1

    def show_album(self, entries: tuple[album.Entry, ...]) -> None:
        """Put an album in the place of the one before."""
        self.entries = entries
        self.report(album.message(entries))

    def tell(self, lines: Iterable[str]) -> None:
        """Facts for the person."""
        for line in lines:
            self.report(Told(line))


def named(path: Path) -> str:
    """A model, for a person: its file's name, or its folder's where the file is called as all are."""
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem
