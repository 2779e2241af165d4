"""The browser: camera conventions, what pages may do, and the page itself in headless Chromium."""

import asyncio
import io
import math
import re
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chromium import answers, free_port
from gradient_link import GradientLink, cameras, drawn, pose, progress
from PIL import Image

from render import quaternions
from render.camera import project
from viewer.browser import panel as web_panel
from viewer.browser import server as web
from viewer.browser.door import Door
from viewer.browser.incoming import is_allowed
from viewer.browser.server import BrowserCamera
from viewer.front import compare, navigation
from viewer.front.navigation import Eye
from viewer.front.session import Session
from viewer.messages import Activity, FieldClosed, Notice, SaveModel, WorkerStarted

NORTH = BrowserCamera(
    (1.0, -2.0, 3.0), (math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0), (1.0, 0.0, 3.0), (0.0, 0.0, 1.0), 0.8, (8, 6)
)
EYE = Eye((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 1.0)


def seen(matrix: torch.Tensor, **changes) -> BrowserCamera:
    """What a page reports from a pose of ours: OpenCV's axes, Y down and Z ahead."""
    turn = quaternions.from_matrices((matrix[:3, :3] @ torch.diag(torch.tensor([1.0, -1.0, -1.0])))[None])[0]
    w, x, y, z = turn.tolist()
    px, py, pz = matrix[:3, 3].tolist()
    return replace(
        BrowserCamera((px, py, pz), (w, x, y, z), (0.5, 0.5, 0.5), (0.0, 0.0, 1.0), 0.7, (40, 30)), **changes
    )


# ---- cameras


def test_a_camera_that_looks_north_is_the_eye_that_looks_north():
    eye = web.to_eye(NORTH, EYE)
    right, up, back = navigation.find_axes(eye)
    assert right == pytest.approx((1, 0, 0)) and up == pytest.approx((0, 0, 1)) and back == pytest.approx((0, -1, 0))
    assert (eye.position, eye.distance, eye.fov, eye.up) == ((1.0, -2.0, 3.0), 2.0, 0.8, (0.0, 0.0, 1.0))


def test_a_browsers_camera_sees_what_opencv_says():
    rotation = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # NORTH's: its columns are right, down and ahead
    point = torch.tensor([1.4, 1.0, 3.3])
    x, y, z = (rotation.T @ (point - torch.tensor(NORTH.position))).tolist()
    focal = 300 / math.tan(0.4)
    pixels, depth = project(navigation.make_camera(web.to_eye(NORTH, EYE), (800, 600)), point[None])
    assert pixels[0].tolist() == pytest.approx([400 + focal * x / z, 300 + focal * y / z], abs=1e-3)  # float32
    assert depth.item() == pytest.approx(z)


@pytest.mark.parametrize("place", [(2.5, -1.0, 1.5), (-1.0, 3.0, -2.0), (0.5, 4.0, 0.5)])
def test_poses_come_back_through_a_browser(place):
    eye = web.to_eye(seen(pose(*place)), EYE)
    assert torch.allclose(navigation.make_camera(eye, (40, 30)).pose, pose(*place), atol=1e-5)  # float32 quaternions
    assert navigation.find_pivot(eye) == pytest.approx((0.5, 0.5, 0.5), abs=1e-5)


def test_the_rest_of_the_eye_is_kept_and_its_view_left():
    eye = web.to_eye(NORTH, replace(EYE, near=0.3, aperture=0.1, focus=2.0, view=4))
    assert (eye.near, eye.aperture, eye.focus, eye.view) == (0.3, 0.1, 2.0, None)


def test_eyes_are_alike_but_for_roll():
    assert web.are_alike(navigation.roll(EYE, 1.0), EYE)
    assert web.are_alike(replace(EYE, position=(0.0, 5e-5, 0.0)), EYE)
    assert not web.are_alike(replace(EYE, position=(0.0, 2e-4, 0.0)), EYE)
    assert not web.are_alike(replace(EYE, fov=0.701), EYE)
    assert not web.are_alike(navigation.look(EYE, 1, 0), EYE)


def test_pictures_have_the_canvas_proportions_and_a_limit():
    assert web.cap_size((640, 480)) == (640, 480)
    assert web.cap_size((3840, 2160)) == (1280, 720)
    assert web.cap_size((100, 4000)) == (32, 1280)
    assert web.cap_size((5000, 1)) == (1280, 1)


# ---- the door


def test_without_viser_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ValueError, match=r'^--web needs viser: pip install "polyfield\[web\]"$'):
        web.serve(Session(GradientLink()))


# ---- a server without a browser


class Recorder:
    """A page's camera that only remembers where it was sent."""

    def __init__(self):
        self.camera, self.scene, self.sent, self.shown = self, self, [], []

    def set_background_image(self, image, **how):
        self.shown.append(image)

    def flush(self):
        pass

    def atomic(self):
        return threading.Lock()

    def __setattr__(self, name, value):
        if name in ("position", "look_at", "up_direction", "fov"):
            self.sent.append(name)
        super().__setattr__(name, value)


@pytest.fixture
def site():
    pytest.importorskip("viser", reason="viser is not installed")
    server = web.open_server(Door("127.0.0.1", pytest.fail), 0)
    link = GradientLink(cameras=cameras())
    yield web.SharedSession(server, Session(link, clock=lambda: 0.0))
    web.stop_server(server)


def join(site: web.SharedSession, number: int) -> Recorder:
    client = Recorder()
    client.client_id = number
    site.join(client, seen(pose(3.0, 3.0, 3.0), size=(40, 30)))
    return client


def test_nothing_is_drawn_while_nobody_looks(site):
    site.tick()
    assert not site.session.link.requests
    assert tuple(site.server.initial_camera.position) == site.session.state.eye.position  # where pages begin
    join(site, 1)
    site.tick()
    assert site.session.link.requests[-1].camera.size == (40, 30)


def test_pages_are_sent_to_the_eye_and_their_answer_is_no_movement(site):
    site.tick()
    eye = site.session.state.eye
    client = join(site, 1)
    site.tick()
    assert client.position == eye.position and client.look_at == navigation.find_pivot(eye) and client.fov == eye.fov
    site.take_camera(1, seen(pose(3.0, 3.0, 3.0)))  # on its way there
    assert site.session.state.eye == eye
    client.sent.clear()
    site.tick()
    assert not client.sent
    site.take_camera(1, seen(navigation.make_camera(eye, (4, 3)).pose, fov=eye.fov))  # there; now it may move
    site.take_camera(1, seen(pose(3.0, 3.0, 3.0)))
    assert site.session.state.eye.position == pytest.approx((3.0, 3.0, 3.0))


def test_a_camera_that_is_nowhere_is_ignored(site):
    site.tick()
    eye = site.session.state.eye
    join(site, 1)
    site.take_camera(1, replace(NORTH, position=(math.nan, 0.0, 0.0)))
    assert site.session.state.eye == eye


def test_the_page_that_moved_last_wins_and_the_others_follow(site):
    first, second = join(site, 1), join(site, 2)
    site.tick()
    for browser in site.browsers.values():
        browser.placed = -math.inf  # long ago
    site.take_camera(2, seen(pose(2.0, -2.0, 1.0), size=(60, 30)))
    assert site.session.state.eye.position == pytest.approx((2.0, -2.0, 1.0))
    second.sent.clear()
    site.tick()
    assert first.position == pytest.approx((2.0, -2.0, 1.0)) and not second.sent
    assert site.session.link.requests[-1].camera.size == (60, 30)
    site.left(2)
    site.tick()
    assert site.session.link.requests[-1].camera.size == (40, 30)


def test_pages_of_other_shapes_see_the_whole_picture_unstretched(site):
    sent = []
    site.server.scene.set_background_image = lambda image, **how: sent.append(image)
    first, second = join(site, 1), join(site, 2)
    site.tick()
    site.tick()
    assert sent[-1].shape == (30, 40, 3) and not first.shown  # of one shape: all are sent the same
    site.take_camera(2, replace(site.browsers[2].seen, size=(30, 60)))  # a phone
    count = len(sent)
    site.tick()
    assert len(sent) == count and np.array_equal(first.shown[-1], sent[-1])
    high = second.shown[-1]
    assert high.shape == (60, 30, 3) and (high[:18] == compare.EMPTY).all() and (high[-18:] == compare.EMPTY).all()
    assert abs(high[20:40].mean() - sent[-1].mean()) < 10


def test_a_page_that_has_not_gone_where_it_was_sent_is_not_followed(site):
    site.tick()
    eye = site.session.state.eye
    join(site, 1)
    site.tick()
    site.session.clock = lambda: 100.0  # a slow page: it has not answered for long, and says that its canvas changed
    site.take_camera(1, seen(pose(3.0, 3.0, 3.0), size=(30, 30)))
    assert site.session.state.eye == eye and site.size() == (30, 30)
    site.take_camera(1, seen(pose(3.0, 3.1, 3.0), size=(30, 30)))
    assert site.session.state.eye.position == pytest.approx((3.0, 3.1, 3.0))


def test_a_view_stays_until_a_page_moves_away(site):
    join(site, 1)
    site.tick()
    site.panel.go("next")
    site.tick()
    assert site.session.link.requests[-1].view == 0 and site.panel.view_list.value == "0: r_0 (train)"
    site.browsers[1].placed = -math.inf
    site.take_camera(1, seen(cameras()[0].pose, fov=site.session.state.eye.fov))
    assert site.session.state.eye.view == 0
    site.take_camera(1, seen(pose(2.5, -1.1, 1.5)))
    site.tick()
    assert site.session.link.requests[-1].view is None and site.panel.view_list.value == "free"


def test_pictures_are_coarse_while_moving_and_lossless_when_finished(site):
    sent = []
    site.server.scene.set_background_image = lambda image, **how: sent.append((image, *how.values()))
    join(site, 1)
    site.tick()
    site.tick()
    assert sent[-1][1:] == ("jpeg", web.COARSE) and sent[-1][0].shape == (30, 40, 3)
    site.session.turned = -math.inf  # long ago
    site.tick()
    site.tick()
    assert sent[-1][1:] == ("png", None) and np.array_equal(sent[-1][0], drawn(site.session.link.requests[-1].camera))
    count = len(sent)
    site.tick()
    site.session.change(replace(site.session.state, eye=replace(site.session.state.eye, fov=0.5)))
    site.show()
    assert len(sent) == count + 1  # at the other quality; the same frames are not sent for every step of a movement
    site.session.change(replace(site.session.state, eye=replace(site.session.state.eye, fov=0.51)))
    site.show()
    assert len(sent) == count + 1
    site.session.turned = -math.inf
    pane = site.session.state.panes[0]
    frame = replace(pane.frame, final=False)
    site.session.change(replace(site.session.state, panes=(replace(pane, frame=frame),)))
    site.tick()
    assert sent[-1][1:] == ("jpeg", web.FINE)


def test_saving_goes_to_the_worker_and_refusals_are_told(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site.tick()
    site.panel.save()
    assert site.session.link.asked == [SaveModel(0, str(tmp_path / "model.safetensors"))]
    site.panel.name.value = "../elsewhere"
    site.panel.save()
    assert site.session.state.notices[-1].trouble and len(site.session.link.asked) == 1


def find(site: web.SharedSession, label: str):
    """A widget by its label."""
    return next(widget for widget in site.panel.widgets.values() if widget.label == label)


def test_widgets_take_only_what_they_offer(site):
    site.tick()
    offered = {
        "mode": ["depth"], "exposure": [1.0, -8, 0.33], "samples": [1, 4096], "0: chair (hashgrid)": [True, False],
        "file": ["a b", "", "ä"], "training": ["pause"], "Save": [True], "through": ["1: r_1 (train)"],
    }  # fmt: skip
    wrong = {
        "mode": ["nothing", 0, None, ["depth"]], "exposure": [99.0, math.nan, "1", True, None], "samples": [0, 2.0,
        4097],
        "0: chair (hashgrid)": [1, "yes"], "file": ["a" * 1001, "a\n", 3], "training": ["explode"], "Save": ["x", 1],
        "through": ["9: gone"], "divider": [0.5], "Start the worker again": [True],
    }  # fmt: skip
    site.panel.steering.visible = True
    for values, expected in ((offered, True), (wrong, False)):
        for label, tried in values.items():
            assert [is_allowed(find(site, label), value) for value in tried] == [expected] * len(tried)


def test_widgets_that_are_gone_are_known_no_more(site):
    site.tick()
    gone = find(site, "0: chair (hashgrid)")._impl.uuid
    assert site.panel.accepts(gone, True) and not site.panel.accepts("nobody", True)
    site.session.link.waiting.append(FieldClosed(0))
    site.tick()
    assert not site.panel.accepts(gone, True)


def test_whatever_a_page_asks_for_is_told_where_it_fails_and_ends_nothing(site):
    site.tick()
    join(site, 1)
    done = []
    site.post(lambda: [][0])
    site.post(lambda: done.append(1))
    site.browsers[1].client.atomic = lambda: [][1]  # a camera that cannot be sent
    site.session.change(replace(site.session.state, eye=replace(site.session.state.eye, fov=0.5)))
    site.tick()
    site.tick()
    troubles = [notice.text for notice in site.session.state.notices if notice.trouble]
    assert done == [1] and troubles == ["IndexError: list index out of range"] * 2


def test_what_comes_while_something_is_done_waits_for_the_next_look(site):
    site.tick()
    done = []

    def again():
        done.append(1)
        site.post(again)

    site.post(again)
    site.tick()
    assert done == [1]


def test_a_worker_is_started_again_only_where_there_is_none(site):
    site.tick()
    started = []
    site.panel.start_again(lambda: started.append(1))
    assert not started
    site.session.link.alive = False
    site.tick()
    site.panel.start_again(lambda: started.append(1))
    assert started


def test_a_click_counts_once_in_a_while_from_each_page(site):
    site.tick()
    done, now = [], [0.0]
    site.session.clock = lambda: now[0]
    button = site.panel.button("again", lambda client: done.append(client.client_id))
    for now[0], number in ((0.0, 1), (0.5, 1), (0.6, 2), (0.9, 1), (1.0, 1), (1.5, 2)):
        asyncio.run(button._impl.update_cb[0](SimpleNamespace(client=SimpleNamespace(client_id=number))))
    site.drain()
    assert done == [1, 2, 1]


def test_pages_save_so_many_files_and_no_more(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(web_panel, "SAVES", 2)
    site.tick()
    for _ in range(3):
        site.panel.save()
    assert len(site.session.link.asked) == 2 and "2 files were saved" in site.session.state.notices[-1].text


def test_the_curves_of_a_run_are_plotted(site):
    site.tick()
    site.panel.draw()
    assert not site.panel.progress.visible
    site.session.link.waiting += [progress(0, step, "running") for step in (1, 2, 3)]
    site.tick()
    site.panel.draw()
    assert site.panel.progress.visible
    loss, psnr = (plot.data[1] for plot in site.panel.plots)
    assert psnr == pytest.approx([20.0, 20.1, 20.2, 20.3]) and loss[-1] == pytest.approx(math.log10(0.025))


def test_what_is_posted_wakes_the_server(site):
    site.tick()
    site.post(lambda: None)
    assert site.woken.is_set()
    site.tick()
    assert not site.woken.is_set()


def words(site: web.SharedSession) -> list[str]:
    """The lines on the picture that was sent last."""
    return [line for block in site.how[-1] for line in block.lines]


def test_messages_are_on_the_picture_for_a_moment_and_trouble_is_not(site):
    join(site, 1).sent.clear()
    site.browsers[1].seen = replace(NORTH, size=(600, 400))
    site.tick()
    site.tick()
    site.session.link.waiting += [Notice("wrote chair.safetensors"), Notice("the disk is full", True)]
    site.tick()
    assert words(site) == ["wrote chair.safetensors"]
    site.session.clock = lambda: web.SAID - 0.1
    site.tick()
    assert words(site) == ["wrote chair.safetensors"]
    site.session.clock = lambda: web.SAID + 0.1
    site.tick()
    assert words(site) == []
    assert [told.text for told in site.session.state.notices] == ["wrote chair.safetensors", "the disk is full"]


def test_every_trouble_pops_up_also_with_something_told_after_it(site):
    popped = []
    client = SimpleNamespace(add_notification=lambda _, text, **how: popped.append((text, how["color"])))
    site.server.get_clients = lambda: {1: client}
    site.session.link.waiting += [Notice("no such file", True), Notice("wrote it"), Notice("the disk is full", True)]
    site.tick()
    site.tick()
    assert popped == [("no such file", "red"), ("the disk is full", "red")]
    site.session.link.waiting += [Notice("no such file", True)] * 5
    site.tick()
    assert len(popped) == 2  # while it is popped up
    site.session.clock = lambda: web_panel.NOTICE
    site.session.link.waiting.append(Notice("no such file", True))
    site.tick()
    assert len(popped) == 3


def test_a_screenshot_is_told_and_shows_no_texts(site):
    files = []
    client = join(site, 1)
    client.send_file_download = lambda name, data, save_immediately: files.append((name, data))
    site.tick()
    site.tick()
    site.screenshot(client)
    assert site.session.state.notices[-1].text == "screenshot: view-scene.png, 40 x 30 pixels"
    [(name, data)] = files
    assert name == "view-scene.png" and np.array_equal(np.asarray(Image.open(io.BytesIO(data))), site.picture())


def test_before_anything_is_open_the_picture_says_what_is_waited_for(site):
    sent = []
    site.server.scene.set_background_image = lambda image, **how: sent.append(image)
    link, site.session.link.waiting = site.session.link, []
    join(site, 1)
    site.browsers[1].seen = replace(NORTH, size=(600, 400))
    site.tick()
    assert words(site) == ["starting ..."] and sent[-1].shape == (400, 600, 3) and sent[-1].std() > 0
    link.waiting += [WorkerStarted("CPU", ""), Activity("reading builtin:60", 0.4)]
    site.tick()
    assert words(site) == ["reading builtin:60 ... 40 %"]
    count = len(sent)
    site.tick()
    assert len(sent) == count  # nothing is new


def test_the_end_is_told_and_the_worker_is_asked_to_end(site):
    sent = []
    site.server.scene.set_background_image = lambda image, **how: sent.append(image)
    join(site, 1)
    site.tick()
    count = len(sent)
    site.end()
    assert len(sent) == count + 1 and not site.session.link.alive
    assert "has ended" in site.panel.text.content


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupt_ends_the_server_and_goes_on(ending, capsys):
    pytest.importorskip("viser", reason="viser is not installed")

    def stop():
        raise ending

    port, link = free_port(), GradientLink()
    with pytest.raises(type(ending)) as told:
        web.serve(Session(link), port=port, stop=stop)
    assert told.value is ending and not answers(port) and not link.alive


def test_no_page_may_open_a_tunnel(site, monkeypatch):
    import viser._viser

    monkeypatch.setattr(viser._viser, "ViserTunnel", lambda *_: pytest.fail("a tunnel"))
    assert site.server.request_share_url() is None


def test_the_address_is_told_in_one_line_and_stop_ends_it(capsys):
    pytest.importorskip("viser", reason="viser is not installed")
    port = free_port()
    web.serve(Session(GradientLink()), port=port, stop=lambda: True)
    said = capsys.readouterr().out
    assert said == f"view-scene: open http://127.0.0.1:{port} in a browser; Ctrl-C ends it\n"
    assert not answers(port)


def test_where_others_may_come_the_address_holds_a_token(capsys):
    pytest.importorskip("viser", reason="viser is not installed")
    port = free_port()
    web.serve(Session(GradientLink()), host="0.0.0.0", port=port, stop=lambda: True)
    said = capsys.readouterr().out
    assert re.fullmatch(rf"view-scene: open http://localhost:{port}/\?token=[\w-]{{22,}} in a browser; .+\n", said)
