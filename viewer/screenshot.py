"""`view-scene --screenshot`: one to four models as one picture, without a window and without a worker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from render import paths
from render.camera import Camera
from render.model import LoadedModel, open_model
from scenes.scene import Scene
from viewer.front import compare, navigation
from viewer.front.compare import EMPTY, Size
from viewer.front.session import Layout
from viewer.messages import Mode, Shot
from viewer.worker import album
from viewer.worker.album import Entry
from viewer.worker.drawing import Pass, Stack, Subject, World, carried, draw_pass
from viewer.worker.modes import Truth

MOST = 4  # models
ALONE = (800, 800)  # pixels, where nothing says how large
CAPTION = 20  # pixels of the line under a pane
INK = (225, 225, 225)


@dataclass(frozen=True)
class Options:
    """What is drawn of them."""

    mode: Mode = "color"
    compare: Layout = "split"
    view: int | None = None  # training cameras are counted first, then test cameras; None: from around the scene
    size: Size = (0, 0)  # pixels of the whole picture; 0 0: every pane as large as its camera's picture
    passes: int = 1  # samples per pixel, >= 1
    share: float = 0.5  # of a wipe's width left of the divider
    gain: float = 4.0  # of a difference


@dataclass(frozen=True)
class Panel:
    """One model, drawn."""

    image: np.ndarray  # (H, W, 3) uint8
    name: str
    facts: tuple[str, ...]  # dB where there is a photograph, MB, ms


def screenshot(models: Sequence[Path], photographs: Scene | None, options: Options, device: torch.device) -> np.ndarray:
    """The picture (H, W, 3) uint8. One model alone, at its camera's size, is what `render-scene` draws; several bear
    captions. Cameras come from the photographs, else from the first model. ValueError for a bad request, ModelError
    for a bad file."""
    if not 1 <= len(models) <= MOST:
        raise ValueError(f"--screenshot wants 1 to {MOST} models, found {len(models)}")
    if options.compare != "split" and len(models) != 2:
        raise ValueError(f"--compare {options.compare} wants 2 models for a screenshot, found {len(models)}")
    opened = [open_model(path, device) for path in models]
    world = World.of_model(opened[0])
    entry = chosen(entries(opened[0], world, photographs), options.view, models[0])
    camera = entry.camera if entry else around(opened[0])
    room = pane_room(options, len(models), camera)
    if options.view is None and any(options.size):
        camera = around(opened[0], room)
    fitted = camera.resized(*compare.letterbox(camera.size, (0, 0, *room))[2:]) if camera.size != room else camera
    panels = [
        drawn(Subject.of_model(model, world), path, fitted, entry, options)
        for model, path in zip(opened, models, strict=True)
    ]
    return assembled(panels, room, options)


def entries(first: LoadedModel, world: World, photographs: Scene | None) -> tuple[Entry, ...]:
    """The views that can be looked through, in the world."""
    if photographs is None:
        return album.of_model(first, torch.eye(4, dtype=torch.float64))
    carry = carried(world, photographs.transform)
    return album.of_scene(photographs, torch.linalg.inv(carry))


def chosen(views: tuple[Entry, ...], number: int | None, path: Path) -> Entry | None:
    """The view that is wanted, if one is. ValueError where there is no such view."""
    if number is None:
        return None
    if not 0 <= number < len(views):
        found = f"wanted 0 to {len(views) - 1}" if views else f"{path} holds no cameras; give photographs with --data"
        raise ValueError(f"--view {number}: {found}")
    return views[number]


def around(model: LoadedModel, size: Size | None = None) -> Camera:
    """Where an orbit among a model's cameras begins, as `render-scene` does; without cameras, in front and above."""
    cameras = list(model.train_cameras or model.test_cameras)
    box = torch.tensor(model.header.box)
    if cameras:
        return paths.orbit(cameras, box, 1, size or cameras[0].size)[0]
    return navigation.camera(navigation.start(corners(box), ()), size or ALONE)


def corners(box: Tensor) -> tuple[float, float, float, float, float, float]:
    """A box (2, 3) as x0 y0 z0 x1 y1 z1."""
    (x0, y0, z0), (x1, y1, z1) = box.tolist()
    return x0, y0, z0, x1, y1, z1


def pane_room(options: Options, count: int, camera: Camera) -> Size:
    """Pixels for one pane's picture, its caption left out."""
    if not any(options.size):
        return camera.size
    width, height = compare.pane_size(options.compare, count, options.size)
    return width, max(1, height - CAPTION * (count > 1))


def drawn(subject: Subject, path: Path, camera: Camera, entry: Entry | None, options: Options) -> Panel:
    """One model's picture. Its dB are taken at the photograph's own size, its milliseconds are those of one pass."""
    shot = Shot(0, camera, (0,), options.mode, view=options.view, passes=options.passes)
    once(subject, replace(shot, camera=camera.resized(8, 8)), 0)  # kernels are loaded before the clock runs
    truth = entry.truth(camera.size, subject.background) if entry else None
    done = once(subject, shot, 0, truth)
    stack, seconds = Stack.of(done), done.seconds
    for number in range(1, options.passes):
        stack = stack.plus(once(subject, shot, number, truth))
    facts = [f"{path.stat().st_size / 1e6:.2f} MB", f"{seconds * 1e3:.0f} ms"]
    if entry and entry.view and options.mode in ("color", "error"):
        quality = done.psnr
        if camera.size != entry.camera.size:
            own = replace(shot, camera=entry.camera, mode="color")
            quality = once(subject, own, 0, entry.truth(entry.camera.size, subject.background)).psnr
        facts = [f"{quality:.2f} dB", *facts] if quality is not None else facts
    name = path.parent.name if path.stem == "model" and path.parent.name else path.stem
    return Panel(stack.image(shot, truth), name, tuple(facts))


def once(subject: Subject, shot: Shot, number: int, truth: Truth | None = None) -> Pass:
    """A pass that nothing gives up."""
    done = draw_pass(subject, shot, shot.camera, number, truth, lambda: False)
    assert done is not None
    return done


def assembled(panels: list[Panel], room: Size, options: Options) -> np.ndarray:
    """Panels of `room` pixels as one picture, each with its caption where there are several."""
    pictures = [panel.image for panel in panels]
    if len(panels) == 1:
        return compare.arranged("split", pictures, room)
    if options.compare == "split":
        columns, rows = compare.grid("split", len(panels))
        whole = options.size if any(options.size) else (columns * room[0], rows * (room[1] + CAPTION))
        return compare.arranged("split", [captioned(panel, room) for panel in panels], whole)
    picture = compare.arranged(options.compare, pictures, room, share=options.share, gain=options.gain)
    half = room[0] // 2
    return np.vstack([picture, np.hstack([caption(panels[0], half), caption(panels[1], room[0] - half)])])


def captioned(panel: Panel, room: Size) -> np.ndarray:
    """A panel in its room, with the caption below: (room's height + CAPTION, room's width, 3)."""
    return np.vstack([compare.arranged("split", [panel.image], room), caption(panel, room[0])])


def caption(panel: Panel, width: int) -> np.ndarray:
    """Name and facts (CAPTION, width, 3). What does not fit is left out from the end; a name loses its own end."""
    font = ImageFont.load_default(12)
    name, words = panel.name, [panel.name, *panel.facts]
    while len(words) > 1 and font.getlength("   ".join(words)) > width - 8:
        words.pop()
    while len(name) > 1 and font.getlength("   ".join(words)) > width - 8:
        name = name[:-1]
        words = [name + "..."]
    picture = Image.new("RGB", (width, CAPTION), EMPTY)
    ImageDraw.Draw(picture).text((4, CAPTION // 2), "   ".join(words), INK, font, anchor="lm")
    return np.asarray(picture)
