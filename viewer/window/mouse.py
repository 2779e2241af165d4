"""What the mouse does to the scene: a button goes down on something and drags it. Pure; pixels, y growing downwards."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from render.camera import Camera
from viewer.front import actions, navigation
from viewer.front.updates import Update
from viewer.window import areas, overlay
from viewer.window.areas import Rectangle, WindowAreas
from viewer.window.crop_box import CropBox
from viewer.window.overlay import Frusta

Tool = Literal["orbit", "look", "pan", "wipe", "crop"]
Button = Literal["left", "middle", "right"]
Point = tuple[float, float]  # pixels of the framebuffer from the picture's top left corner
BUTTONS: dict[int, Button] = {1: "left", 2: "middle", 4: "right"}  # as pyglet numbers them
REACH = 8.0  # pixels at scale 1 around a divider in which it is caught
CLICK = 4.0  # pixels at scale 1 that a press may move and still be a click


@dataclass(frozen=True)
class Press:
    """A mouse button going down."""

    at: Point
    button: Button
    shift: bool = False


@dataclass(frozen=True)
class HeldFace:
    """A face of the crop box as it was when it was taken."""

    face: int
    crop: CropBox
    camera: Camera


@dataclass(frozen=True)
class Drag:
    """What is being dragged."""

    tool: Tool
    start: Point
    at: Point
    pane: Rectangle  # in which it began
    moved: bool = False  # further than a click
    caught: HeldFace | None = None


def begin_drag(update: Update, press: Press, places: WindowAreas) -> Drag:
    """What a button takes hold of: a handle of the crop box, the divider, else the scene or the eye."""
    pane = find_pane(update, press.at, places)
    found = find_face(update, press.at, places) if press.button == "left" else None
    camera, crop = areas.make_camera(update.state, places), crop_of(update)
    if found is not None and camera and crop:
        return Drag("crop", press.at, press.at, pane, caught=HeldFace(found, crop, camera))
    if press.button == "left" and is_on_divider(update, press.at, places):
        return Drag("wipe", press.at, press.at, pane)
    tool: Tool = "look" if update.state.display.fly else "orbit"
    return Drag("pan" if press.button != "left" or press.shift else tool, press.at, press.at, pane)


def drag_to(update: Update, drag: Drag, to: Point, places: WindowAreas) -> tuple[Update, Drag]:
    """The update after a drag to a point. A click's tremble does nothing until it is a drag."""
    dots = places.scale * places.ratio
    if update.state.eye is None or not (drag.moved or math.dist(drag.start, to) > CLICK * dots):
        return update, drag
    return TOOLS[drag.tool](update, drag, to, places), replace(drag, at=to, moved=True)


def orbit(update: Update, drag: Drag, to: Point, places: WindowAreas) -> Update:
    """The scene turns along."""
    return actions.change_eye(update, lambda eye: navigation.orbit(eye, *measure_step(drag, to, places)))


def look(update: Update, drag: Drag, to: Point, places: WindowAreas) -> Update:
    """The head turns."""
    return actions.change_eye(update, lambda eye: navigation.look(eye, *measure_step(drag, to, places)))


def pan(update: Update, drag: Drag, to: Point, places: WindowAreas) -> Update:
    """The scene shifts along, pixel by pixel at the pivot."""
    shift = to[0] - drag.at[0], to[1] - drag.at[1]
    return actions.change_eye(update, lambda eye: navigation.pan(eye, *shift, max(min(drag.pane[2:]), 1)))


def wipe(update: Update, drag: Drag, to: Point, places: WindowAreas) -> Update:
    """The divider goes along."""
    left, width = measure_wipe(update, places)
    return update.display(wipe=min(max((to[0] - left) / max(width, 1), 0.0), 1.0))


def measure_wipe(update: Update, places: WindowAreas) -> tuple[float, float]:
    """Where the wiped picture begins, and its width."""
    camera, pane = areas.make_camera(update.state, places), (0, 0, *places.picture[2:])
    left, _, width, _ = areas.fit_within(pane, camera.size) if camera else pane
    return left, width


def crop(update: Update, drag: Drag, to: Point, places: WindowAreas) -> Update:
    """A face of the crop box goes along."""
    caught = drag.caught
    if caught is None or not update.state.panes:
        return update
    left, top = areas.fit_within(drag.pane, caught.camera.size)[:2]
    ends = (drag.start[0] - left, drag.start[1] - top), (to[0] - left, to[1] - top)
    scene = update.state.panes[0].opened.box
    result = caught.crop.dragged(caught.face, caught.camera, ends, scene)
    return update.display(crop=result.box, crop_turn=result.turn)


def crop_of(update: Update) -> CropBox | None:
    """The crop box, where there is one."""
    look = update.state.display
    return CropBox(look.crop, look.crop_turn) if look.crop else None


TOOLS = {"orbit": orbit, "look": look, "pan": pan, "wipe": wipe, "crop": crop}


def measure_step(drag: Drag, to: Point, places: WindowAreas) -> Point:
    """How far it went since the last time, in pixels at scale 1."""
    dots = places.scale * places.ratio
    return (to[0] - drag.at[0]) / dots, (to[1] - drag.at[1]) / dots


def click(update: Update, drag: Drag, places: WindowAreas, cameras: Frusta | None) -> Update:
    """A click on a camera looks through it."""
    camera = areas.make_camera(update.state, places)
    if cameras is None or camera is None or drag.tool not in ("orbit", "look"):
        return update
    left, top = areas.fit_within(drag.pane, camera.size)[:2]
    view = overlay.find_frustum(camera, cameras, (drag.start[0] - left, drag.start[1] - top))
    return update if view is None else actions.look_through(update, view)


def scroll(update: Update, notches: float, *, lens: bool) -> Update:
    """The wheel: nearer, or with `lens` a narrower field of view."""
    return actions.change_eye(
        update, lambda eye: navigation.widen(eye, -notches) if lens else navigation.zoom(eye, notches)
    )


def find_pane(update: Update, at: Point, places: WindowAreas) -> Rectangle:
    """The pane at a point; the first one where there is none."""
    found = areas.place_panes(update.state, places) or [(0, 0, *places.picture[2:])]
    return next((r for r in found if r[0] <= at[0] < r[0] + r[2] and r[1] <= at[1] < r[1] + r[3]), found[0])


def find_face(update: Update, at: Point, places: WindowAreas) -> int | None:
    """The face of the crop box whose handle is at a point."""
    camera, box = areas.make_camera(update.state, places), crop_of(update)
    if camera is None or box is None:
        return None
    left, top = areas.fit_within(find_pane(update, at, places), camera.size)[:2]
    return box.find(camera, (at[0] - left, at[1] - top))


def find_lit_face(update: Update, drag: Drag | None, at: Point | None, places: WindowAreas) -> int | None:
    """The face of the crop box that is held, or under the pointer."""
    if drag:
        return drag.caught.face if drag.caught else None
    return None if at is None else find_face(update, at, places)


def is_on_divider(update: Update, at: Point, places: WindowAreas) -> bool:
    """Whether the wipe's divider is at a point."""
    if update.state.display.layout != "wipe" or len(update.state.shown) < 2:
        return False
    left, width = measure_wipe(update, places)
    return abs(at[0] - left - update.state.display.wipe * width) <= REACH * places.scale * places.ratio
