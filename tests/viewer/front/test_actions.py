"""What keys and the mouse do to the scene, without a window."""

import math
from dataclasses import replace

import pytest
import torch

from distill.photographs.settings import Settings
from render.camera import Camera, Intrinsics, look_at, project
from viewer.front import actions, keys, navigation
from viewer.front.command_lines import repeat, repeat_display, repeat_screenshot
from viewer.front.session import DisplaySettings, Pane, State
from viewer.front.updates import PanelState, Update, WriteCameraPath, name_field
from viewer.messages import (
    ControlRun,
    Convert,
    DrawFilm,
    FieldOpened,
    LearnFrom,
    OpenModel,
    RunProgress,
    SaveModel,
    ViewCamera,
)
from viewer.window import areas, files, mouse
from viewer.window.mouse import Press

BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
UNIT = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
PLACES = areas.lay_out((1000, 600), (1000, 600), 1.0, True)


def camera(x: float) -> Camera:
    pose = look_at(torch.tensor([x, -2.0, 1.0]), torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(100.0, 100.0, 50.0, 50.0), (100, 100))


def pane(number: int, path: str = "chair.safetensors") -> Pane:
    return Pane(FieldOpened(number, "chair", path, "hashgrid", "small", 1, 2, BOX, UNIT, (1.0, 1.0, 1.0)))


@pytest.fixture
def update() -> Update:
    views = tuple(ViewCamera(f"r_{i}", "train", camera(float(i)), True) for i in range(3))
    eye = navigation.start(BOX, tuple(s.camera for s in views))
    return Update(State(eye=eye, panes=(pane(0), pane(1)), views=views, worker="ready"), PanelState())


def learning(update: Update, life: str) -> Update:
    progress = RunProgress(1, life, 5, 10, 0.5, "train", 0.1, 20.0, 1.0, 1e6)  # pyright: ignore[reportArgumentType]
    panes = (update.state.panes[0], replace(update.state.panes[1], progress=progress))
    return replace(update, state=replace(update.state, panes=panes))


def test_every_key_has_something_that_it_does():
    assert {binding.action for binding in keys.BINDINGS} == set(actions.ALL)


@pytest.mark.parametrize("binding", keys.BINDINGS, ids=lambda b: b.action)
def test_keys_do_no_harm_where_nothing_is_open(binding):
    empty = Update(State(), PanelState())
    after = actions.act(empty, binding.action)
    assert after.state.eye is None
    assert not after.commands


def test_views_are_stepped_through_in_a_ring(update):
    views = []
    for _ in range(4):
        update = actions.act(update, "next_view")
        views.append(update.state.eye.view)
    assert views == [0, 1, 2, 0]
    assert actions.act(update, "previous_view").state.eye.view == 2
    assert actions.act(update, "last_view").state.eye.view == 2
    looked = navigation.make_camera(update.state.eye, (100, 100))
    assert torch.allclose(looked.pose, camera(0.0).pose, atol=1e-6)  # float32


@pytest.mark.parametrize(("life", "asked"), [("running", "pause"), ("paused", "resume"), ("done", None)])
def test_training_is_halted_and_goes_on(update, life, asked):
    after = actions.act(learning(update, life), "train")
    assert after.commands == (() if asked is None else (ControlRun(1, asked),))


def test_a_pinhole_opens_and_closes_again(update):
    after = actions.act(update, "larger_aperture")
    assert after.state.eye.aperture > 0
    wider = actions.act(after, "larger_aperture")
    assert wider.state.eye.aperture > after.state.eye.aperture
    for _ in range(2):
        wider = actions.act(wider, "smaller_aperture")
    assert wider.state.eye.aperture == 0


def test_the_crop_box_begins_as_the_scene_box_and_goes_away(update):
    after = actions.act(update, "crop")
    assert after.state.display.crop == BOX
    assert actions.act(after, "crop").state.display.crop is None


def test_saving_names_the_chosen_field(update):
    assert actions.act(update, "save").commands == (SaveModel(1, "chair-hashgrid.safetensors"),)
    assert actions.act(update.put(chosen=0, save="a.safetensors"), "save").commands == (SaveModel(0, "a.safetensors"),)
    assert [name_field(p, update.state) for p in update.state.panes] == ["chair #1", "chair #2"]


def test_a_path_is_flown_to_its_end_and_a_loop_goes_on(update):
    assert actions.act(update, "preview").panel.playing is None
    for view in (0, 2):
        update = actions.act(actions.look_through(update, view), "keyframe")
    begun = actions.act(update, "preview")
    assert begun.panel.playing == 0.0
    half = actions.play(begun, 1.0)
    assert half.panel.playing == 1.0
    assert half.state.eye.position not in {key.position for key in update.panel.path.keys}
    ended = actions.play(half, 1.5)
    assert ended.panel.playing is None
    assert ended.state.eye.position == pytest.approx(update.panel.path.keys[-1].position, abs=1e-6)  # float32 pose
    looped = begun.put(path=replace(begun.panel.path, loop=2.0))
    assert actions.play(looped, 4.5).panel.playing == pytest.approx(0.5)


def test_what_a_button_takes_hold_of(update):
    at = (300.0, 300.0)
    tools = {name: mouse.begin_drag(update, Press(at, name), PLACES).tool for name in ("left", "right", "middle")}
    assert tools == {"left": "orbit", "right": "pan", "middle": "pan"}
    assert mouse.begin_drag(update, Press(at, "left", shift=True), PLACES).tool == "pan"
    assert mouse.begin_drag(update.display(fly=True), Press(at, "left"), PLACES).tool == "look"


def test_a_tremble_is_a_click_and_a_drag_does_not_jump(update):
    drag = mouse.begin_drag(update, Press((300.0, 300.0), "left"), PLACES)
    same, held = mouse.drag_to(update, drag, (302.0, 301.0), PLACES)
    assert same is update
    assert not held.moved
    after, held = mouse.drag_to(update, drag, (320.0, 300.0), PLACES)
    assert held.moved
    assert after.state.eye == navigation.orbit(update.state.eye, 20.0, 0.0)


def test_the_divider_is_caught_and_follows_the_mouse_in_the_letterbox(update):
    wiped = actions.look_through(update, 0).display(layout="wipe")  # a square view in a wide picture
    _, _, width, height = PLACES.picture
    drag = mouse.begin_drag(wiped, Press((width / 2, 100.0), "left"), PLACES)
    assert drag.tool == "wipe"
    after, _ = mouse.drag_to(wiped, drag, (width / 2 + height / 4, 100.0), PLACES)
    assert after.state.display.wipe == pytest.approx(0.75, abs=2 / height)  # pixels
    assert mouse.begin_drag(wiped, Press((width / 2 + 30, 100.0), "left"), PLACES).tool == "orbit"


def test_a_click_on_a_camera_needs_cameras_that_are_shown(update):
    drag = mouse.begin_drag(update, Press((300.0, 300.0), "left"), PLACES)
    assert mouse.click(update, drag, PLACES, None) is update


def test_places_leave_room_for_the_panel_where_there_is_any():
    assert PLACES.picture == (340, 0, 660, 576)
    assert areas.lay_out((1000, 600), (1000, 600), 1.0, False).picture == (0, 0, 1000, 600)
    assert areas.lay_out((1000, 600), (2000, 1200), 1.0, True).picture == (680, 0, 1320, 1152)
    assert areas.lay_out((100, 30), (100, 30), 1.0, True).picture == (0, 0, 100, 17)  # above a sheet
    assert areas.measure_pane(State(display=DisplaySettings()), areas.lay_out((0, 0), (0, 0), 1.0, True)) == (0, 0)


def test_what_is_dropped_is_opened_or_asked_about(update, tmp_path):
    (tmp_path / "a.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert files.open_path(update, str(tmp_path / "a.safetensors")).commands == (
        OpenModel(str(tmp_path / "a.safetensors")),
    )
    assert files.open_path(update, "builtin").panel.found.kind == "scene"
    told = files.open_path(update, "/nothing/there")
    assert told.state.notices[-1].trouble
    assert not told.commands


def test_a_written_path_is_read_back(update, tmp_path):
    for view in (0, 1):
        update = actions.act(actions.look_through(update, view), "keyframe")
    request = WriteCameraPath(str(tmp_path / "path.json"))
    assert not files.fulfil(update, request, None).state.notices[-1].trouble
    again = files.open_path(update.put(path=PanelState().path), request.path).panel.path
    assert [k.time for k in again.keys] == [0.0, 2.0]
    assert again.keys[1].position == pytest.approx(update.panel.path.keys[1].position, abs=1e-6)


def test_files_that_cannot_be_written_are_told(update, tmp_path):
    (tmp_path / "file").write_text("")
    update = actions.act(update, "keyframe")
    after = files.fulfil(update, WriteCameraPath(str(tmp_path / "file" / "path.json")), None)
    assert after.state.notices[-1].trouble


def test_lines_repeat_what_was_done(update, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    update = actions.act(update, "keyframe")
    for command in (LearnFrom("builtin:64", Settings()), Convert(0, "mlp"), Convert(0, "mlp")):
        update = files.note_command(update, command)
    assert update.panel.lines == (
        "train-scene builtin:64",
        "convert-scene chair.safetensors --to mlp --out runs/chair_mlp",
    )
    update = files.note_command(update, DrawFilm(0, "film.mp4", (), 24.0))
    assert update.panel.lines[-1] == "render-scene chair.safetensors film.mp4 --camera film.json"
    assert (tmp_path / "film.json").is_file()
    state = replace(update.state, panes=(pane(0, "builtin"),))
    assert repeat(Convert(0, "mlp"), state).startswith("# save chair first")


def test_what_is_written_gets_a_place_where_nothing_is(update, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, film = update.state, DrawFilm(0, "film.mp4", (), 24.0)
    assert files.choose_place(Convert(0, "mlp"), state) == Convert(0, "mlp", out="runs/chair_mlp")
    assert files.choose_place(film, state) == film
    (tmp_path / "runs" / "chair_mlp").mkdir(parents=True)
    (tmp_path / "film.mp4").touch()
    assert files.choose_place(Convert(0, "mlp"), state).out == "runs/chair_mlp_2"
    assert files.choose_place(film, state).path == "film_2.mp4"
    for command in (Convert(0, "mlp", out="a"), Convert(7, "mlp"), SaveModel(0, "film.mp4")):
        assert files.choose_place(command, state) == command


def test_nothing_changes_where_nothing_is_changed(update):
    assert update.display(exposure=0.0) is update
    assert update.put(text="") is update
    assert update.eye(update.state.eye) is update


def test_the_line_of_a_screenshot_is_there_where_a_command_draws_the_same(update):
    there = actions.look_through(update, 2).display(mode="depth").show_pane(1, False)
    line = "view-scene chair.safetensors --mode depth --view 2 --screenshot a.png --size 60 40"
    assert repeat_screenshot(there.state, "a.png", (60, 40)) == line
    assert repeat_display(there.state) == "view-scene chair.safetensors --mode depth --view 2"
    assert repeat_screenshot(there.show_pane(1, True).state, "a.png", (60, 40)) is None  # bears captions there
    assert repeat_screenshot(there.display(crop=BOX).state, "a.png", (60, 40)) is None
    assert repeat_screenshot(update.show_pane(1, False).state, "a.png", (60, 40)) is None  # not through a view


def test_a_narrow_window_has_its_panel_as_a_sheet_below_the_picture():
    phone = areas.lay_out((390, 844), (390, 844), 1.0, True)
    assert phone.panel == (0, 844 - 354, 390, 354)
    assert phone.picture == (0, 0, 390, 844 - 354 - 24)
    small = areas.lay_out((700, 500), (700, 500), 1.0, True)
    assert small.panel == (0, 0, 340, 500)
    assert small.picture == (340, 0, 360, 476)
    assert areas.lay_out((390, 844), (390, 844), 1.0, False).picture == (0, 0, 390, 844)


@pytest.mark.parametrize("size", [(1100, 876), (360, 476), (390, 466), (876, 1100)])
def test_the_object_fits_the_shorter_side_of_any_picture(size):
    """The circle that the lens shows is the same part of the shorter side, whichever that is."""
    eye = navigation.start(BOX, [])
    camera = navigation.make_camera(eye, size)
    shorter = min(size)
    assert camera.intrinsics.fx == camera.intrinsics.fy
    assert shorter / 2 / camera.intrinsics.fx == pytest.approx(math.tan(eye.fov / 2))
    corners = torch.tensor([(x, y, z) for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
    pixels = project(camera, corners.double())[0]
    assert bool((pixels > 0).all())
    assert bool((pixels < torch.tensor(size)).all())
