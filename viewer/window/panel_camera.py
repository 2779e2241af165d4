"""The panel's camera: how it moves, its lens, the views and their photographs."""

import math
from dataclasses import replace

from imgui_bundle import imgui

from viewer.front import actions, controls
from viewer.front.navigation import Eye
from viewer.front.updates import Update
from viewer.window import widgets

AXES = {"+Z": (0.0, 0.0, 1.0), "+Y": (0.0, 1.0, 0.0), "+X": (1.0, 0.0, 0.0), "-Z": (0.0, 0.0, -1.0),
        "-Y": (0.0, -1.0, 0.0), "-X": (-1.0, 0.0, 0.0)}  # fmt: skip


def draw(update: Update) -> Update:
    """The section."""
    if not widgets.section("Camera", opened=False) or update.state.eye is None:
        return update
    eye, way = update.state.eye, "fly" if update.state.display.fly else "orbit"
    update = draw_lens(update.display(fly=widgets.segments("way", way, ("orbit", "fly")) == "fly"), eye)
    pressed = widgets.row("reset", "level", "up is up", enabled=())
    if pressed is not None:
        update = actions.act(update, ("reset_view", "level", "set_up")[pressed])
    return draw_views(update)


def draw_lens(update: Update, eye: Eye) -> Update:
    """Field of view, near clip, thin lens, which way is up, and the pace of flying."""
    degrees = math.degrees(eye.fov)
    fov = widgets.slider(controls.FIELD_OF_VIEW, degrees)
    if abs(fov - degrees) > 1e-4:
        eye = replace(eye, fov=math.radians(fov), view=None)
    near = widgets.slider(controls.NEAR, eye.near, pivot=eye.distance)
    aperture = widgets.slider(controls.APERTURE, eye.aperture, pivot=eye.distance)
    focus = widgets.slider(controls.FOCUS, eye.focus, pivot=eye.distance, form="" if eye.focus else "at the pivot")
    speed = widgets.slider(controls.SPEED, eye.speed)
    named = next((n for n, v in AXES.items() if math.dist(v, eye.up) < 1e-3), "other")
    axis = widgets.choice("up", named, tuple(AXES))
    up = AXES.get(axis, eye.up) if axis != named else eye.up
    return update.eye(replace(eye, near=near, aperture=aperture, focus=focus, speed=speed, up=up))


def draw_views(update: Update) -> Update:
    """The views: step through it, and lay photographs over the picture."""
    views, eye = update.state.views, update.state.eye
    if not views or eye is None:
        return update
    names = tuple(f"{spot.split} {spot.name}" if spot.split not in spot.name else spot.name for spot in views)
    label = names[eye.view] if eye.view is not None and eye.view < len(names) else "none"
    widgets.label("view")
    wide = imgui.get_content_region_avail().x - 2 * (imgui.get_frame_height() + imgui.get_style().item_spacing.x)
    imgui.set_next_item_width(wide)
    if widgets.begin_list("##view", label):
        update = draw_list(update, names, eye.view)
        imgui.end_combo()
    for text, action in (("<", "previous_view"), (">", "next_view")):
        imgui.same_line()
        if imgui.button(text, imgui.ImVec2(imgui.get_frame_height(), 0)):
            update = actions.act(update, action)
    if eye.view is None or eye.view >= len(views) or not views[eye.view].photographed:
        return update
    look = update.state.display
    truth = widgets.slider(controls.PHOTOGRAPH, look.truth)
    return update.display(truth=truth, blink=widgets.toggle("blink", look.blink))


def draw_list(update: Update, names: tuple[str, ...], view: int | None) -> Update:
    """The list of all views, drawn where it is in sight."""
    clipper = imgui.ListClipper()
    clipper.begin(len(names))
    while clipper.step():
        for i in range(clipper.display_start, clipper.display_end):
            if imgui.selectable(f"{names[i]}##{i}", i == view)[0]:
                update = actions.look_through(update, i)
    return update
