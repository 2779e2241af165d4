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
from render.legends import Legend, draw_legend
from render.looks import MODES
from render.model import LoadedModel, open_model
from scenes.scene import Scene
from viewer.front import compare, navigation
from viewer.front.arrangement import Arrangement
from viewer.front.compare import EMPTY
from viewer.front.controls import GAIN, WIPE
from viewer.messages import FrameRequest, PixelSize
from viewer.worker import views
from viewer.worker.drawing import DrawnPass, FrameSource, PassOrder, PassSum, World, draw_pass, find_carry
from viewer.worker.views import WorldView

MOST = 4  # models
ALONE = (800, 800)  # pixels, where nothing says how large
CAPTION = 20  # pixels of the line under a pane
INK = (225, 225, 225)


@dataclass(frozen=True)
class ScreenshotOptions:
    """What is drawn of them."""

    mode: str = "color"
    compare: Arrangement = "split"
    view: int | None = None  # training cameras are counted first, then test cameras; None: from around the scene
    size: PixelSize = (0, 0)  # pixels of the whole picture; 0 0: every pane as large as its camera's picture
    passes: int = 1  # samples per pixel, >= 1
    share: float = WIPE.usual  # of a wipe's width left of the divider
    gain: float = GAIN.usual  # of a difference


@dataclass(frozen=True)
class DrawnModel:
    """One model, drawn."""

    image: np.ndarray  # (H, W, 3) uint8
    name: str
    facts: tuple[str, ...]  # dB where there is a photograph, MB, ms
    span: tuple[float, float]  # distances that depth was shown between, in the first model's scene units
    legend: Legend | None  # what the colours mean, where they are numbers


def draw_screenshot(
    models: Sequence[Path], photographs: Scene | None, options: ScreenshotOptions, device: torch.device
) -> np.ndarray:
    """The picture (H, W, 3) uint8. One model alone, at its camera's size, is what `render-scene` draws; several bear
    captions. Cameras come from the photographs, else from the first model. ValueError for a bad request, ModelError
    for a bad file."""
    if not 1 <= len(models) <= MOST:
        raise ValueError(f"--screenshot wants 1 to {MOST} models, found {len(models)}")
    if options.compare != "split" and len(models) != 2:
        raise ValueError(f"--compare {options.compare} wants 2 models for a screenshot, found {len(models)}")
    opened = [open_model(path, device) for path in models]
    world = World(opened[0].transform)
    entry = choose_view(list_views(opened[0], world, photographs), options.view, models[0])
    camera = entry.camera if entry else look_around(opened[0])
    room = measure_room(options, len(models), camera)
    if options.view is None and any(options.size):
        camera = look_around(opened[0], room)
    fitted = camera.resized(*compare.letterbox(camera.size, (0, 0, *room))[2:]) if camera.size != room else camera
    panels: list[DrawnModel] = []
    for model, path in zip(opened, models, strict=True):
        span = panels[0].span if panels else None  # depth means the same in all of them
        panels.append(draw_model(FrameSource.of_model(model, world), path, fitted, entry, options, span))
    return assemble(panels, room, options)


def list_views(first: LoadedModel, world: World, photographs: Scene | None) -> tuple[WorldView, ...]:
    """The views that can be looked through, in the world."""
    if photographs is None:
        return views.list_model_views(first, torch.eye(4, dtype=torch.float64))
    carry = find_carry(world, photographs.transform)
    return views.list_scene_views(photographs, torch.linalg.inv(carry))


def choose_view(views: tuple[WorldView, ...], number: int | None, path: Path) -> WorldView | None:
    """The view that is wanted, if one is. ValueError where there is no such view."""
    if number is None:
        return None
    if not 0 <= number < len(views):
        found = f"wanted 0 to {len(views) - 1}" if views else f"{path} holds no cameras; give photographs with --data"
        raise ValueError(f"--view {number}: {found}")
    return views[number]


def look_around(model: LoadedModel, size: PixelSize | None = None) -> Camera:
    """Where an orbit among a model's cameras begins, as `render-scene` does; without cameras, in front and above."""
    cameras = list(model.train_cameras or model.test_cameras)
    box = torch.tensor(model.header.box)
    if cameras:
        return paths.orbit(cameras, box, 1, size or cameras[0].size)[0]
    return navigation.make_camera(navigation.start(flatten_box(box), ()), size or ALONE)


def flatten_box(box: Tensor) -> tuple[float, float, float, float, float, float]:
    """A box (2, 3) as x0 y0 z0 x1 y1 z1."""
    (x0, y0, z0), (x1, y1, z1) = box.tolist()
    return x0, y0, z0, x1, y1, z1


def measure_room(options: ScreenshotOptions, count: int, camera: Camera) -> PixelSize:
    """Pixels for one pane's picture, its caption left out."""
    if not any(options.size):
        return camera.size
    width, height = compare.measure_pane(options.compare, count, options.size)
    return width, max(1, height - CAPTION * (count > 1))


def draw_model(
    source: FrameSource,
    path: Path,
    camera: Camera,
    entry: WorldView | None,
    options: ScreenshotOptions,
    span: tuple[float, float] | None,
) -> DrawnModel:
    """One model's picture. Its dB are taken at the photograph's own size, its milliseconds are those of one pass."""
    request = FrameRequest(0, camera, (0,), options.mode, view=options.view, passes=options.passes)
    small = replace(request, camera=camera.resized(8, 8))
    draw_once(source, small, PassOrder())  # kernels are loaded before the clock runs
    truth = entry.truth(camera.size, source.background) if entry else None
    done = draw_once(source, request, PassOrder(0, truth, span))
    stack, seconds = PassSum.of(done), done.seconds
    for number in range(1, options.passes):
        stack = stack.plus(draw_once(source, request, PassOrder(number, truth, done.span)))
    facts = [f"{path.stat().st_size / 1e6:.2f} MB", f"{seconds * 1e3:.0f} ms"]
    if entry and entry.view and MODES[options.mode].channels == "color":
        quality = done.psnr
        if camera.size != entry.camera.size:
            own = replace(request, camera=entry.camera, mode="color")
            own_truth = entry.truth(entry.camera.size, source.background)
            quality = draw_once(source, own, PassOrder(0, own_truth)).psnr
        facts = [f"{quality:.2f} dB", *facts] if quality is not None else facts
    name = path.parent.name if path.stem == "model" and path.parent.name else path.stem
    image = stack.image(request, truth)
    if options.compare == "split" and done.legend:
        image = draw_legend(image, done.legend)
    return DrawnModel(image, name, tuple(facts), done.span, done.legend)


def draw_once(source: FrameSource, request: FrameRequest, order: PassOrder) -> DrawnPass:
    """A pass that nothing gives up."""
    done = draw_pass(source, request, request.camera, order, lambda: False)
    assert done is not None
    return done


def assemble(panels: list[DrawnModel], room: PixelSize, options: ScreenshotOptions) -> np.ndarray:
    """Panels of `room` pixels as one picture, each with its caption where there are several."""
    pictures = [panel.image for panel in panels]
    if len(panels) == 1:
        return compare.arrange("split", pictures, room)
    if options.compare == "split":
        columns, rows = compare.count_columns("split", len(panels))
        whole = options.size if any(options.size) else (columns * room[0], rows * (room[1] + CAPTION))
        return compare.arrange("split", [add_caption(panel, room) for panel in panels], whole)
    picture = compare.arrange(options.compare, pictures, room, share=options.share, gain=options.gain)
    if options.compare == "wipe" and panels[0].legend:
        picture = draw_legend(picture, panels[0].legend)
    half = room[0] // 2
    return np.vstack([picture, np.hstack([draw_caption(panels[0], half), draw_caption(panels[1], room[0] - half)])])


def add_caption(panel: DrawnModel, room: PixelSize) -> np.ndarray:
    """A panel in its room, with the caption below: (room's height + CAPTION, room's width, 3)."""
    return np.vstack([compare.arrange("split", [panel.image], room), draw_caption(panel, room[0])])


def draw_caption(panel: DrawnModel, width: int) -> np.ndarray:
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
