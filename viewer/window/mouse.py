"""What the mouse does to the scene: a button goes down on something and drags it. Pure; pixels, y growing downwards."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from render.camera import Camera
from viewer.front import actions, navigation
from viewer.front.desk import Turn
from viewer.messages import Box
from viewer.window import overlay, picture
from viewer.window.overlay import Frusta
from viewer.window.picture import Places, Rectangle

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
class Caught:
    """A face of the crop box as it was when it was taken."""

    face: int
    crop: Box
    camera: Camera


@dataclass(frozen=True)
class Grip:
    """What is being dragged."""

    tool: Tool
    start: Point
    at: Point
    pane: Rectangle  # in which it began
    moved: bool = False  # further than a click
    caught: Caught | None = None


def gripped(turn: Turn, press: Press, places: Places) -> Grip:
    """What a button takes hold of: a handle of the crop box, the divider, else the scene or the eye."""
    pane = pane_at(turn, press.at, places)
    found = face_at(turn, press.at, places) if press.button == "left" else None
    camera, crop = picture.camera(turn.state, places), turn.state.look.crop
    if found is not None and camera and crop:
        return Grip("crop", press.at, press.at, pane, caught=Caught(found, crop, camera))
    if press.button == "left" and on_divider(turn, press.at, places):
        return Grip("wipe", press.at, press.at, pane)
    tool: Tool = "look" if turn.state.look.fly else "orbit"
    return Grip("pan" if press.button != "left" or press.shift else tool, press.at, press.at, pane)


def dragged(turn: Turn, grip: Grip, to: Point, places: Places) -> tuple[Turn, Grip]:
    """The turn after a drag to a point. A click's tremble does nothing until it is a drag."""
    dots = places.scale * places.ratio
    if turn.state.eye is None or not (grip.moved or math.dist(grip.start, to) > CLICK * dots):
        return turn, grip
    return TOOLS[grip.tool](turn, grip, to, places), replace(grip, at=to, moved=True)


def orbit(turn: Turn, grip: Grip, to: Point, places: Places) -> Turn:
    """The scene turns along."""
    return actions.moved(turn, lambda eye: navigation.orbit(eye, *step(grip, to, places)))


def look(turn: Turn, grip: Grip, to: Point, places: Places) -> Turn:
    """The head turns."""
    return actions.moved(turn, lambda eye: navigation.look(eye, *step(grip, to, places)))


def pan(turn: Turn, grip: Grip, to: Point, places: Places) -> Turn:
    """The scene shifts along, pixel by pixel at the pivot."""
    shift = to[0] - grip.at[0], to[1] - grip.at[1]
    return actions.moved(turn, lambda eye: navigation.pan(eye, *shift, max(grip.pane[3], 1)))


def wipe(turn: Turn, grip: Grip, to: Point, places: Places) -> Turn:
    """The divider goes along."""
    left, width = across(turn, places)
    return turn.look(wipe=min(max((to[0] - left) / max(width, 1), 0.0), 1.0))


def across(turn: Turn, places: Places) -> tuple[float, float]:
    """Where the wiped picture begins, and its width."""
    camera, pane = picture.camera(turn.state, places), (0, 0, *places.picture[2:])
    left, _, width, _ = picture.within(pane, camera.size) if camera else pane
    return left, width


def crop(turn: Turn, grip: Grip, to: Point, places: Places) -> Turn:
    """A face of the crop box goes along."""
    caught = grip.caught
    if caught is None or not turn.state.panes:
        return turn
    left, top = picture.within(grip.pane, caught.camera.size)[:2]
    drag = (grip.start[0] - left, grip.start[1] - top), (to[0] - left, to[1] - top)
    scene = turn.state.panes[0].opened.box
    return turn.look(crop=overlay.dragged(caught.crop, caught.face, caught.camera, drag, scene))


TOOLS = {"orbit": orbit, "look": look, "pan": pan, "wipe": wipe, "crop": crop}


def step(grip: Grip, to: Point, places: Places) -> Point:
    """How far it went since the last time, in pixels at scale 1."""
    dots = places.scale * places.ratio
    return (to[0] - grip.at[0]) / dots, (to[1] - grip.at[1]) / dots


def clicked(turn: Turn, grip: Grip, places: Places, cameras: Frusta | None) -> Turn:
    """A click on a camera looks through it."""
    camera = picture.camera(turn.state, places)
    if cameras is None or camera is None or grip.tool not in ("orbit", "look"):
        return turn
    left, top = picture.within(grip.pane, camera.size)[:2]
    view = overlay.frustum_at(camera, cameras, (grip.start[0] - left, grip.start[1] - top))
    return turn if view is None else actions.through(turn, view)


def scrolled(turn: Turn, notches: float, *, lens: bool) -> Turn:
    """The wheel: nearer, or with `lens` a narrower field of view."""
    return actions.moved(turn, lambda eye: navigation.widen(eye, -notches) if lens else navigation.zoom(eye, notches))


def pane_at(turn: Turn, at: Point, places: Places) -> Rectangle:
    """The pane at a point; the first one where there is none."""
    found = picture.panes(turn.state, places) or [(0, 0, *places.picture[2:])]
    return next((r for r in found if r[0] <= at[0] < r[0] + r[2] and r[1] <= at[1] < r[1] + r[3]), found[0])


def face_at(turn: Turn, at: Point, places: Places) -> int | None:
    """The face of the crop box whose handle is at a point."""
    camera, box = picture.camera(turn.state, places), turn.state.look.crop
    if camera is None or box is None:
        return None
    left, top = picture.within(pane_at(turn, at, places), camera.size)[:2]
    return overlay.handle_at(camera, box, (at[0] - left, at[1] - top))


def face(turn: Turn, grip: Grip | None, at: Point | None, places: Places) -> int | None:
    """The face of the crop box that is held, or under the pointer."""
    if grip:
        return grip.caught.face if grip.caught else None
    return None if at is None else face_at(turn, at, places)


def on_divider(turn: Turn, at: Point, places: Places) -> bool:
    """Whether the wipe's divider is at a point."""
    if turn.state.look.layout != "wipe" or len(turn.state.shown) < 2:
        return False
    left, width = across(turn, places)
    return abs(at[0] - left - turn.state.look.wipe * width) <= REACH * places.scale * places.ratio
