"""What is open in the worker: fields, the world that they share, and the views; and how they come there."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import torch

from distill.conversion import job as conversion
from distill.conversion.settings import ConversionSettings
from distill.photographs import job as training
from fields.files import find_free
from render.model import LoadedModel, open_model
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.progress import heard_by
from scenes.scene import Scene
from viewer.messages import Activity, CompareWith, Convert, LearnFrom, Notice, WorkerReport, WorldBox
from viewer.worker.drawing import World, find_carry
from viewer.worker.learner import Learner
from viewer.worker.open_field import OpenField
from viewer.worker.views import WorldView, describe_views, list_model_views, list_scene_views

EVERY = 0.1  # seconds between reports of how far reading is
MOST = 16  # fields that are open at a time
SUFFIX = ".safetensors"


class OpenFields:
    """Fields, read or learning, and views to look through."""

    def __init__(self, device: torch.device, report: Callable[[WorkerReport], None]) -> None:
        self.device, self.report = device, report
        self.panes: dict[int, OpenField] = {}
        self.opened = 0  # panes so far
        self.world: World | None = None  # of what was opened first
        self.views: tuple[WorldView, ...] = ()

    def pane(self, number: int) -> OpenField:
        """A pane. ValueError where there is none (any more)."""
        if number not in self.panes:
            raise ValueError(f"pane {number} is closed")
        return self.panes[number]

    def open(self, path: str) -> OpenField:
        """A model file in a new pane."""
        self.require_room()
        model = open_model(Path(path), self.device)
        self.world = self.world or World(model.transform)
        pane = self.add(name_model(Path(path)), path, self.world, model=model)
        if not self.views and (model.train_cameras or model.test_cameras):
            self.show_views(list_model_views(model, torch.linalg.inv(pane.carry)))
        self.report(pane.describe())
        return pane

    def learn(self, command: LearnFrom) -> OpenField:
        """A field that learns from photographs, in a new pane."""
        self.require_room()
        scene = self.read(command.data, command.settings.pictures())
        job = training.begin(command.data, command.settings, self.tell, scene=scene)
        self.world = self.world or World(job.run.place.transform.double())
        pane = self.add(scene.name, command.data, self.world, learner=Learner(job))
        if not any(e.view for e in self.views):
            self.show_views(list_scene_views(scene, torch.linalg.inv(pane.carry)))
        self.report(pane.describe())
        return pane

    def photographs(self, command: CompareWith) -> None:
        """A data set to compare with."""
        scene = self.read(command.data, ReadOptions(command.downscale, poses=command.poses, up=command.up))
        self.tell([fact.text for fact in scene.facts])
        self.world = self.world or World(scene.transform)
        self.show_views(list_scene_views(scene, torch.linalg.inv(find_carry(self.world, scene.transform))))

    def read(self, data: str, options: ReadOptions) -> Scene:
        """A data set; how far it is is told meanwhile."""
        told = 0.0

        def hear(what: str, share: float | None) -> None:
            nonlocal told
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                self.report(Activity(f"{data}: {what}", share))

        self.report(Activity(f"{data}: reading"))
        try:
            with heard_by(hear):
                return load(data, options)
        finally:
            self.report(Activity(""))

    def convert(self, command: Convert) -> OpenField:
        """A field that learns from another one, in a new pane; into a folder or file of its own, which is told."""
        self.require_room()
        teacher = self.pane(command.pane)
        path = teacher.path
        if teacher.learner:
            path = str(teacher.learner.job.model)
            if teacher.learner.life != "done":
                teacher.learning.save_model(Path(path))
        out = Path(command.folder(teacher.name))
        out = find_free(out, SUFFIX if out.suffix == SUFFIX else "")
        crop = (self.in_input(command.crop),) if command.crop else ()
        kind: Literal["cpu", "cuda"] = "cuda" if self.device.type == "cuda" else "cpu"
        settings = ConversionSettings(
            command.to, command.preset, out=out, crop=crop, crop_turn=math.degrees(command.crop_turn) if crop else 0.0,
            steps=command.steps, device=kind,
        )  # fmt: skip
        job = conversion.begin(path, settings, self.tell)
        self.tell([f"{teacher.name}: is converted into {out}"])
        name = f"{teacher.name} as {job.run.recipe.architecture}"
        pane = self.add(name, path, teacher.world, learner=Learner(job))
        self.report(pane.describe())
        return pane

    def require_room(self) -> None:
        """ValueError where as many fields are open as may be."""
        if len(self.panes) >= MOST:
            raise ValueError(f"{MOST} fields are open, and no more are opened: close one")

    def add(
        self, name: str, path: str, world: World, *, model: LoadedModel | None = None, learner: Learner | None = None
    ) -> OpenField:
        """A new pane."""
        pane = OpenField(self.opened, name, path, world, model, learner)
        self.panes[self.opened] = pane
        self.opened += 1
        return pane

    def in_input(self, box: WorldBox) -> WorldBox:
        """A box of the world in input coordinates. ValueError where these are turned against each other."""
        assert self.world is not None
        back = torch.linalg.inv(self.world.transform)
        turn = back[:3, :3] / back[0, 0]
        if not torch.allclose(turn, torch.eye(3, dtype=torch.float64), atol=1e-6):
            raise ValueError("the crop box does not lie along the axes of the data set's own coordinates")
        low, high = (torch.tensor([*box[i : i + 3], 1.0], dtype=torch.float64) @ back.T for i in (0, 3))
        x0, y0, z0, x1, y1, z1 = (*low[:3].tolist(), *high[:3].tolist())
        return x0, y0, z0, x1, y1, z1

    def show_views(self, views: tuple[WorldView, ...]) -> None:
        """Put views in the place of those before."""
        self.views = views
        self.report(describe_views(views))

    def tell(self, lines: Iterable[str]) -> None:
        """Facts for the person."""
        for line in lines:
            self.report(Notice(line))


def name_model(path: Path) -> str:
    """A model, for a person: its file's name, or its folder's where the file is called as all are."""
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem
