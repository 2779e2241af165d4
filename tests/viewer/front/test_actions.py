"""What keys and the mouse do to the scene, without a window."""

from dataclasses import replace

import pytest
import torch

from distill.photographs.settings import Settings
from render.camera import Camera, Intrinsics, look_at
from viewer.front import actions, desk, history, keys, navigation
from viewer.front.desk import Desk, Turn
from viewer.front.session import Look, Pane, State
from viewer.messages import Control, Convert, Film, Learn, Open, Opened, Progress, Save, Spot
from viewer.window import errands, mouse, picture
from viewer.window.mouse import Press

BOX = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
UNIT = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
PLACES = picture.places((1000, 600), (1000, 600), 1.0, True)


def camera(x: float) -> Camera:
    pose = look_at(torch.tensor([x, -2.0, 1.0]), torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(100.0, 100.0, 50.0, 50.0), (100, 100))


def pane(number: int, path: str = "chair.safetensors") -> Pane:
    return Pane(Opened(number, "chair", path, "hashgrid", "small", 1, 2, BOX, UNIT, (1.0, 1.0, 1.0)))


@pytest.fixture
def turn() -> Turn:
    spots = tuple(Spot(f"r_{i}", "train", camera(float(i)), True) for i in range(3))
    eye = navigation.start(BOX, tuple(s.camera for s in spots))
    return Turn(State(eye=eye, panes=(pane(0), pane(1)), spots=spots, worker="ready"), Desk())


def learning(turn: Turn, life: str) -> Turn:
    progress = Progress(1, life, 5, 10, 0.5, "train", 0.1, 20.0, 1.0, 1e6)  # pyright: ignore[reportArgumentType]
    panes = (turn.state.panes[0], replace(turn.state.panes[1], progress=progress))
    return replace(turn, state=replace(turn.state, panes=panes))


def test_every_key_has_something_that_it_does():
    assert {binding.action for binding in keys.BINDINGS} == set(actions.ALL)


@pytest.mark.parametrize("binding", keys.BINDINGS, ids=lambda b: b.action)
def test_keys_do_no_harm_where_nothing_is_open(binding):
    empty = Turn(State(), Desk())
    after = actions.act(empty, binding.action)
    assert after.state.eye is None
    assert not after.commands


def test_views_are_stepped_through_in_a_ring(turn):
    views = []
    for _ in range(4):
        turn = actions.act(turn, "next_view")
        views.append(turn.state.eye.view)
    assert views == [0, 1, 2, 0]
    assert actions.act(turn, "previous_view").state.eye.view == 2
    assert actions.act(turn, "last_view").state.eye.view == 2
    looked = navigation.camera(turn.state.eye, (100, 100))
    assert torch.allclose(looked.pose, camera(0.0).pose, atol=1e-6)  # float32


@pytest.mark.parametrize(("life", "asked"), [("running", "pause"), ("paused", "resume"), ("done", None)])
def test_training_is_halted_and_goes_on(turn, life, asked):
    after = actions.act(learning(turn, life), "train")
    assert after.commands == (() if asked is None else (Control(1, asked),))


def test_a_pinhole_opens_and_closes_again(turn):
    after = actions.act(turn, "larger_aperture")
    assert after.state.eye.aperture > 0
    wider = actions.act(after, "larger_aperture")
    assert wider.state.eye.aperture > after.state.eye.aperture
    for _ in range(2):
        wider = actions.act(wider, "smaller_aperture")
    assert wider.state.eye.aperture == 0


def test_the_crop_box_begins_as_the_scene_box_and_goes_away(turn):
    after = actions.act(turn, "crop")
    assert after.state.look.crop == BOX
    assert actions.act(after, "crop").state.look.crop is None


def test_saving_names_the_chosen_field(turn):
    assert actions.act(turn, "save").commands == (Save(1, "chair-hashgrid.safetensors"),)
    assert actions.act(turn.put(chosen=0, save="a.safetensors"), "save").commands == (Save(0, "a.safetensors"),)
    assert [desk.called(p, turn.state) for p in turn.state.panes] == ["chair #1", "chair #2"]


def test_a_path_is_flown_to_its_end_and_a_loop_goes_on(turn):
    assert actions.act(turn, "preview").desk.playing is None
    for view in (0, 2):
        turn = actions.act(actions.through(turn, view), "keyframe")
    begun = actions.act(turn, "preview")
    assert begun.desk.playing == 0.0
    half = actions.played(begun, 1.0)
    assert half.desk.playing == 1.0
    assert half.state.eye.position not in {key.position for key in turn.desk.path.keys}
    ended = actions.played(half, 1.5)
    assert ended.desk.playing is None
    assert ended.state.eye.position == pytest.approx(turn.desk.path.keys[-1].position, abs=1e-6)  # float32 pose
    looped = begun.put(path=replace(begun.desk.path, loop=2.0))
    assert actions.played(looped, 4.5).desk.playing == pytest.approx(0.5)


def test_what_a_button_takes_hold_of(turn):
    at = (300.0, 300.0)
    tools = {name: mouse.gripped(turn, Press(at, name), PLACES).tool for name in ("left", "right", "middle")}
    assert tools == {"left": "orbit", "right": "pan", "middle": "pan"}
    assert mouse.gripped(turn, Press(at, "left", shift=True), PLACES).tool == "pan"
    assert mouse.gripped(turn.look(fly=True), Press(at, "left"), PLACES).tool == "look"


def test_a_tremble_is_a_click_and_a_drag_does_not_jump(turn):
    grip = mouse.gripped(turn, Press((300.0, 300.0), "left"), PLACES)
    same, held = mouse.dragged(turn, grip, (302.0, 301.0), PLACES)
    assert same is turn
    assert not held.moved
    after, held = mouse.dragged(turn, grip, (320.0, 300.0), PLACES)
    assert held.moved
    assert after.state.eye == navigation.orbit(turn.state.eye, 20.0, 0.0)


def test_the_divider_is_caught_and_follows_the_mouse_in_the_letterbox(turn):
    wiped = actions.through(turn, 0).look(layout="wipe")  # a square view in a wide picture
    _, _, width, height = PLACES.picture
    grip = mouse.gripped(wiped, Press((width / 2, 100.0), "left"), PLACES)
    assert grip.tool == "wipe"
    after, _ = mouse.dragged(wiped, grip, (width / 2 + height / 4, 100.0), PLACES)
    assert after.state.look.wipe == pytest.approx(0.75, abs=2 / height)  # pixels
    assert mouse.gripped(wiped, Press((width / 2 + 30, 100.0), "left"), PLACES).tool == "orbit"


def test_a_click_on_a_camera_needs_cameras_that_are_shown(turn):
    grip = mouse.gripped(turn, Press((300.0, 300.0), "left"), PLACES)
    assert mouse.clicked(turn, grip, PLACES, None) is turn


def test_places_leave_room_for_the_panel_where_there_is_any():
    assert PLACES.picture == (340, 0, 660, 576)
    assert picture.places((1000, 600), (1000, 600), 1.0, False).picture == (0, 0, 1000, 600)
    assert picture.places((1000, 600), (2000, 1200), 1.0, True).picture == (680, 0, 1320, 1152)
    assert picture.places((100, 30), (100, 30), 1.0, True).picture == (0, 0, 100, 30)
    assert picture.pane_size(State(look=Look()), picture.places((0, 0), (0, 0), 1.0, True)) == (0, 0)


def test_what_is_dropped_is_opened_or_asked_about(turn, tmp_path):
    (tmp_path / "a.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    assert errands.taken(turn, str(tmp_path / "a.safetensors")).commands == (Open(str(tmp_path / "a.safetensors")),)
    assert errands.taken(turn, "builtin").desk.found.kind == "data"
    told = errands.taken(turn, "/nothing/there")
    assert told.state.notices[-1].trouble
    assert not told.commands


def test_a_written_path_is_read_back(turn, tmp_path):
    for view in (0, 1):
        turn = actions.act(actions.through(turn, view), "keyframe")
    wish = desk.SavePath(str(tmp_path / "path.json"))
    assert not errands.done(turn, wish, None).state.notices[-1].trouble
    again = errands.taken(turn.put(path=desk.Desk().path), wish.path).desk.path
    assert [k.time for k in again.keys] == [0.0, 2.0]
    assert again.keys[1].position == pytest.approx(turn.desk.path.keys[1].position, abs=1e-6)


def test_files_that_cannot_be_written_are_told(turn, tmp_path):
    (tmp_path / "file").write_text("")
    turn = actions.act(turn, "keyframe")
    after = errands.done(turn, desk.SavePath(str(tmp_path / "file" / "path.json")), None)
    assert after.state.notices[-1].trouble


def test_lines_repeat_what_was_done(turn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    turn = actions.act(turn, "keyframe")
    for command in (Learn("builtin:64", Settings()), Convert(0, "mlp"), Convert(0, "mlp")):
        turn = errands.noted(turn, command)
    assert turn.desk.lines == (
        "train-scene builtin:64",
        "convert-scene chair.safetensors --to mlp --out runs/chair_mlp",
    )
    turn = errands.noted(turn, Film(0, "film.mp4", (), 24.0))
    assert turn.desk.lines[-1] == "render-scene chair.safetensors film.mp4 --camera film.json"
    assert (tmp_path / "film.json").is_file()
    state = replace(turn.state, panes=(pane(0, "builtin"),))
    assert history.line(Convert(0, "mlp"), state).startswith("# save chair first")


def test_nothing_changes_where_nothing_is_changed(turn):
    assert turn.look(exposure=0.0) is turn
    assert turn.put(text="") is turn
    assert turn.eye(turn.state.eye) is turn


def test_the_line_of_a_screenshot_is_there_where_a_command_draws_the_same(turn):
    there = actions.through(turn, 2).look(mode="depth").show(1, False)
    line = "view-scene chair.safetensors --mode depth --view 2 --screenshot a.png --size 60 40"
    assert history.screenshot(there.state, "a.png", (60, 40)) == line
    assert history.shown(there.state) == "view-scene chair.safetensors --mode depth --view 2"
    assert history.screenshot(there.show(1, True).state, "a.png", (60, 40)) is None  # bears captions there
    assert history.screenshot(there.look(crop=BOX).state, "a.png", (60, 40)) is None
    assert history.screenshot(turn.show(1, False).state, "a.png", (60, 40)) is None  # not through a view
