"""render-scene: every format, look and camera on a model file whose pixels are known; every bad input."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from analytic import (
    BLOCK_RGB,
    BLOCK_SIGMA,
    TURN,
    Ball,
    block_bounds,
    block_file,
    block_header,
    camera,
    loaded,
)
from PIL import Image

from render import render_scene
from render.camera import Camera, look_at
from render.films import Drawing, Route, Still, choose_cameras, draw_frames, evened, scale_size, write_film
from render.kernels.march import cross_box
from render.looks import MODES
from render.model import open_model
from render.render_scene import Flags, render

UNIT = 4.0  # input units in a scene unit
STEP = 1 / 1024  # scene units


@pytest.fixture
def model(tmp_path):
    return block_file(tmp_path / "m.safetensors")


def crossings(view):
    """Distances (H, W) in scene units at which pixels enter and leave the block."""
    rays, (width, height) = view.rays(), view.size
    return (t.view(height, width) for t in cross_box(rays.origins, rays.directions, block_bounds()))


def seen(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.float64) / 255


def command(monkeypatch, *words):
    """Run render-scene in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["render-scene", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        render_scene.main()
    return caught.value.code


def first_camera():
    return Camera.from_record(block_header().train_cameras[0])


def test_png_in_colour_over_the_models_background(model, tmp_path, capsys):
    render(Flags(model, tmp_path / "deep" / "a.PNG", camera="train:0"))
    image = seen(tmp_path / "deep" / "a.PNG")
    enter, leave = crossings(first_camera())
    assert image.shape == (24, 32, 3)
    solid, empty = (leave - enter > 0.1).numpy(), (leave < enter).numpy()
    assert np.abs(image[solid] - BLOCK_RGB).max() < 0.012  # a byte, and decoders in bf16 where there is hardware
    assert np.abs(image[empty] - (1, 0, 1)).max() == 0  # block_header's background
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "rgb"), [("white", (1, 1, 1)), ("black", (0, 0, 0))])
def test_named_backgrounds(name, rgb, model, tmp_path):
    render(Flags(model, tmp_path / "a.png", background=name))
    assert tuple(seen(tmp_path / "a.png")[0, 0]) == rgb


def test_transparent_png_has_straight_alpha(tmp_path, monkeypatch):
    (tmp_path / "m").touch()
    monkeypatch.setattr("render.model.open_model", lambda *_: loaded(Ball(3.0), cameras=[camera()]))
    render(Flags(tmp_path / "m", tmp_path / "a.png", camera="train:0", background="transparent"))
    image = seen(tmp_path / "a.png")
    assert image.shape == (24, 32, 4)
    alpha = image[..., 3]
    part = (alpha > 0.3) & (alpha < 0.9)
    assert part.sum() > 20
    assert np.abs(image[part][:, :3] - (0.9, 0.4, 0.1)).max() < 0.01  # the ball's own colour at any opacity
    assert alpha[0, 0] == 0


@pytest.mark.parametrize("kind", ["ray", "z"])
def test_npy_depth_is_in_input_units(kind, model, tmp_path):
    render(Flags(model, tmp_path / "a.npy", camera="test:0", mode="depth", depth=kind))
    depth, view = torch.from_numpy(np.load(tmp_path / "a.npy")), first_camera()
    enter, leave = crossings(view)
    want = (enter + 1 / BLOCK_SIGMA) * UNIT
    if kind == "z":
        want = want * -(view.rays().directions @ view.pose[:3, 2]).view(24, 32)
    deep = leave - enter > 0.1
    assert depth.dtype == torch.float32
    torch.testing.assert_close(depth[deep], want[deep], atol=STEP * UNIT, rtol=0)
    assert bool(torch.isinf(depth[leave < enter]).all())


def test_depth_along_the_ray_and_the_axis_differ(model, tmp_path):
    for kind in ("ray", "z"):
        render(Flags(model, tmp_path / f"{kind}.npy", camera="test:0", mode="depth", depth=kind))
    ray, z = (np.load(tmp_path / f"{kind}.npy") for kind in ("ray", "z"))
    solid = np.isfinite(ray)
    assert np.array_equal(np.isfinite(z), solid)
    assert (z[solid] < ray[solid]).all()
    assert (ray[solid] / z[solid]).max() > 1.01


def test_npy_opacity_and_many_frames(model, tmp_path):
    render(Flags(model, tmp_path / "a.npy", frames=3, size=12, mode="opacity"))
    opacity = np.load(tmp_path / "a.npy")
    assert opacity.shape == (3, 12, 16)
    assert opacity.dtype == np.float32
    assert opacity.min() == 0
    assert opacity.max() > 0.999
    assert not np.array_equal(opacity[0], opacity[1])


def test_npy_normals_are_in_input_axes(tmp_path, monkeypatch):
    class Slope(Ball):  # log-density grows along scene -x, so that normals point along scene +x
        def density(self, x):
            return 100 * torch.exp(-8 * x[:, 0]), x

    (tmp_path / "m").touch()
    monkeypatch.setattr("render.model.open_model", lambda *_: loaded(Slope(), cameras=[camera()]))
    render(Flags(tmp_path / "m", tmp_path / "a.npy", mode="normal"))
    normals = np.load(tmp_path / "a.npy")
    assert normals.shape == (24, 32, 3)
    length = np.linalg.norm(normals, axis=-1)
    assert np.abs(length[length > 0] - 1).max() < 1e-5
    assert (length > 0).sum() > 100
    want = TURN.T @ torch.tensor([1.0, 0, 0]).double()
    assert np.abs(normals[length > 0] - want.numpy()).max() < 1e-3
    render(Flags(tmp_path / "m", tmp_path / "a.png", mode="normal"))
    assert np.abs(seen(tmp_path / "a.png")[length > 0] - (1, 0.5, 0.5)).max() < 0.01  # the picture: scene axes


def test_png_depth_and_opacity(model, tmp_path):
    render(Flags(model, tmp_path / "d.png", camera="train:0", mode="depth"))
    render(Flags(model, tmp_path / "o.png", camera="train:0", mode="opacity"))
    depth, opacity = seen(tmp_path / "d.png"), seen(tmp_path / "o.png")
    enter, leave = crossings(first_camera())
    deep = (leave - enter > 0.1).numpy()
    assert (opacity[deep] == 1).all()
    assert (opacity[(leave < enter).numpy()] == 0).all()
    assert np.corrcoef(depth[deep] @ (0.30, 0.59, 0.11), enter.numpy()[deep])[0, 1] < -0.99  # near is bright


def test_pictures_of_numbers_bear_a_scale_unless_told_not_to(model, tmp_path):
    for mode in ("depth", "color"):
        for bare in (False, True):
            render(Flags(model, tmp_path / f"{mode}{bare}.png", size=200, mode=mode, bare=bare))
    same = [
        np.array_equal(seen(tmp_path / f"{m}False.png"), seen(tmp_path / f"{m}True.png")) for m in ("depth", "color")
    ]
    assert same == [False, True]
    with_scale, without = seen(tmp_path / "depthFalse.png"), seen(tmp_path / "depthTrue.png")
    rows, columns = np.nonzero((with_scale != without).any(-1))
    height, width = without.shape[:2]
    assert rows.min() > height / 2
    assert columns.max() < width


def test_depth_means_the_same_in_every_frame_of_a_film(model):
    opened = open_model(model, torch.device("cpu"))
    near, far = opened.train_cameras[0], opened.train_cameras[0]
    away = far.pose.clone()
    away[:3, 3] += 2 * away[:3, 2]  # backwards
    cameras = [near, replace(far, pose=away)]
    alone = [next(iter(draw_frames(opened, [c], Drawing(MODES["depth"])))).span for c in cameras]
    together = [still.span for still in draw_frames(opened, cameras, Drawing(MODES["depth"]))]
    assert together[0] == together[1]
    assert together[0] == pytest.approx((alone[0][0], alone[1][1]), abs=0.05)
    assert alone[0][1] < alone[1][0]  # each for itself would look alike


def test_gif_has_its_frames_and_time(model, tmp_path):
    render(Flags(model, tmp_path / "a.gif", frames=3, size=15, fps=10))
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 3
        assert film.size == (20, 15)
        assert film.info["duration"] == 100  # ms
        assert film.info["loop"] == 0


def shown(path):
    """How many milliseconds each frame of a GIF is shown."""
    with Image.open(path) as film:
        return [film.seek(n) or film.info["duration"] for n in range(film.n_frames)]


@pytest.mark.parametrize(
    ("fps", "count", "whole"), [(24, 24, 1000), (30, 60, 2000), (50, 5, 100), (29.97, 30, 1000), (0.1, 2, 20000)]
)
def test_a_gif_is_as_long_as_asked(fps, count, whole, tmp_path):
    grey = torch.linspace(0, 1, count)
    write_film(tmp_path / "a.gif", iter(g.expand(4, 4, 3) for g in grey), fps)
    times = shown(tmp_path / "a.gif")
    assert len(times) == count
    assert sum(times) == whole
    assert max(times) - min(times) <= 10


def test_a_gif_is_as_long_as_asked_where_frames_are_alike(tmp_path):
    """They are stored as one."""
    write_film(tmp_path / "a.gif", iter([torch.zeros(4, 4, 3)] * 24), 24)
    assert sum(shown(tmp_path / "a.gif")) == 1000
    with pytest.raises(ValueError, match=r"a\.gif: a picture stays longer than 655 s"):
        write_film(tmp_path / "a.gif", iter([torch.zeros(4, 4, 3)] * 70), 0.1)
    assert sum(shown(tmp_path / "a.gif")) == 1000


def test_a_gif_of_more_than_50_frames_a_second_is_refused_before_anything_is_drawn(
    model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("render.films.draw_frame", lambda *_: pytest.fail("drawn"))
    said = "60 frames per second: a .gif counts hundredths of a second"
    assert command(monkeypatch, model, tmp_path / "a.gif", "--frames", 4, "--fps", 60) == 2
    assert said in capsys.readouterr().err
    pose = look_at(torch.tensor([1.0, 3.0, 2.5]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])).tolist()
    frames = [{"time": t, "fov": 40, "pose": pose} for t in (0.0, 0.5)]
    (tmp_path / "p.json").write_text(json.dumps({"fps": 60, "size": [20, 16], "keyframes": frames}))
    assert command(monkeypatch, model, tmp_path / "a.gif", "--camera", tmp_path / "p.json") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "a.gif").exists()


def film(path):
    """Frames (T, H, W, 3) of a film and what ffmpeg says of it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    text = done.stderr.decode()
    width, height = re.findall(r"Video: .*?, (\d+)x(\d+)", text)[0]
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, int(height), int(width), 3), text


def test_mp4_has_its_frames_colours_and_rate(model, tmp_path):
    render(Flags(model, tmp_path / "a.mp4", frames=3, size=48, fps=12, background="white"))
    frames, text = film(tmp_path / "a.mp4")
    assert frames.shape == (3, 48, 64, 3)
    assert "12 fps" in text
    middle = frames[:, 24, 32].astype(float) / 255
    assert np.abs(middle - BLOCK_RGB).max() < 0.1  # lossy, colours at half resolution
    assert frames[:, 2, 2].min() > 240
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.mp4", "m.safetensors"]


PATCHES = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40), (40, 160, 220)]


def as_bt709(path, size):
    """RGB (7, 3) in the middle of seven stripes of a film's first frame, by the equations of ITU-R BT.709-6 for luma
    and colour differences of 8 bits in the limited range, whatever the file says of itself."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-frames:v", "1"]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"], capture_output=True, check=True
    ).stdout
    width, height = size
    planes = np.split(np.frombuffer(raw, np.uint8), [width * height, width * height * 5 // 4])
    columns = (np.arange(7) * 2 + 1) * width // 14
    luma = (planes[0].reshape(height, width)[height // 2, columns] - 16.0) / 219
    blue, red = ((p.reshape(height // 2, width // 2)[height // 4, columns // 2] - 128.0) / 224 for p in planes[1:])
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    return np.stack([r, (luma - 0.2126 * r - 0.0722 * b) / 0.7152, b], -1) * 255


def test_colours_of_an_mp4_are_those_of_bt709_and_said_to_be(tmp_path):
    stripes = torch.tensor(PATCHES)[torch.arange(1280) * 7 // 1280] / 255
    write_film(tmp_path / "a.mp4", iter([stripes.expand(720, 1280, 3)] * 3), 24)
    got = as_bt709(tmp_path / "a.mp4", (1280, 720))
    assert np.abs(got - PATCHES).max() < 3  # of 255: both are rounded, and the codec is lossy
    frames, text = film(tmp_path / "a.mp4")
    assert "yuv420p(tv, bt709, progressive)" in text
    assert np.abs(frames[0, 360, (np.arange(7) * 2 + 1) * 1280 // 14].astype(int) - PATCHES).max() < 4
    content = (tmp_path / "a.mp4").read_bytes()
    assert content[content.index(b"colrnclx") + 8 :][:7] == bytes(
        [0, 1, 0, 1, 0, 1, 0]
    )  # for players that ask the file


@pytest.mark.parametrize("fps", [10, 23.976, 60])
def test_an_mp4_is_as_long_as_asked(fps, tmp_path):
    write_film(tmp_path / "a.mp4", iter([torch.zeros(16, 16, 3)] * 30), fps)
    _, text = film(tmp_path / "a.mp4")
    hours, minutes, seconds = re.findall(r"Duration: (\d+):(\d+):([\d.]+)", text)[0]
    assert (hours, minutes) == ("00", "00")
    assert float(seconds) == pytest.approx(30 / fps, abs=0.011)


def test_a_film_of_an_odd_size_shows_the_pictures_as_they_are(tmp_path, monkeypatch, capfd):
    """H.264 has even sides: the last row and column come twice."""
    path = block_file(tmp_path / "m.safetensors", [camera((33, 25))])
    assert command(monkeypatch, path, tmp_path / "a.mp4", "--frames", 2) == 0
    said = capfd.readouterr().err
    assert "a.mp4: 2 frames, 33 x 25 pixels, in a film of 34 x 26, as .mp4 has even sides\n" in said
    assert "WARNING" not in said
    frames, _ = film(tmp_path / "a.mp4")
    assert frames.shape == (2, 26, 34, 3)
    assert command(monkeypatch, path, tmp_path / "a.png") == 0
    still = seen(tmp_path / "a.png")
    assert still.shape == (25, 33, 3)
    assert np.abs(frames[0, :25, :33].astype(float) / 255 - still).mean() < 0.02


def test_an_odd_picture_gets_its_last_row_and_column_twice():
    picture = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    even = evened(picture)
    assert even.shape == (4, 6, 3)
    assert np.array_equal(even[:3, :5], picture)
    assert np.array_equal(even[3], even[2]) and np.array_equal(even[:, 5], even[:, 4])
    assert evened(even) is even


def test_sizes():
    assert scale_size((33, 25), 0) == (33, 25)
    assert scale_size((33, 25), 51) == (67, 51)
    assert scale_size((400, 3), 1) == (133, 1)
    assert scale_size((100, 400), 1) == (1, 4)


def test_spiral_rises_and_orbit_does_not(model, tmp_path):
    for name in ("orbit", "spiral"):
        route, opened = Route(name, frames=4, size=8), open_model(model, torch.device("cpu"))
        cameras, _ = choose_cameras(route, opened, model, ".npy")
        assert len(cameras) == 4
        assert {c.size for c in cameras} == {(11, 8)}
    opened = open_model(model, torch.device("cpu"))
    assert len(choose_cameras(Route("orbit"), opened, model, ".mp4")[0]) == 60


def test_path_files_bring_poses_in_input_units_and_their_rate(model, tmp_path):
    eye, target = torch.tensor([1.0, 3.0, 2.5]), torch.tensor([0.4, 0.0, 0.8])
    pose = look_at(eye, target, torch.tensor([0.0, 0.0, 1.0]))
    frames = [{"time": t, "fov": 40, "pose": pose.tolist()} for t in (0.0, 0.5)]
    (tmp_path / "p.json").write_text(json.dumps({"fps": 4, "size": [20, 16], "keyframes": frames}))
    flags = Flags(model, tmp_path / "a.npy", camera=str(tmp_path / "p.json"), mode="depth")
    render(flags)
    depth = np.load(tmp_path / "a.npy")
    assert depth.shape == (3, 16, 20)
    opened = open_model(model, torch.device("cpu"))
    cameras, fps = choose_cameras(Route(flags.camera), opened, model, ".npy")
    assert fps == 4
    there = opened.transform @ torch.tensor([1.0, 3.0, 2.5, 1.0]).double()
    torch.testing.assert_close(cameras[0].pose[:3, 3].double(), there[:3], atol=1e-6, rtol=0)
    enter, leave = crossings(cameras[0])
    deep = (leave - enter > 0.1).numpy()
    assert deep.sum() > 10
    assert np.abs(depth[0][deep] - ((enter + 1 / BLOCK_SIGMA) * UNIT).numpy()[deep]).max() < STEP * UNIT


BAD = [
    (["a.jpg"], r"a.jpg: wanted an ending among .png .gif .mp4 .npy, found .jpg"),
    (["a"], "wanted an ending among .png .gif .mp4 .npy, found none"),
    (["folder.png"], "folder.png: is a folder; wanted a file name"),
    (["m.safetensors/a.png"], "m.safetensors is a file; wanted a folder"),
    (["a.png", "--frames", "3"], "a.png: 3 frames do not fit one .png"),
    (["a.npy"], "a.npy: .npy holds depth, normal or opacity; add --mode depth"),
    (["a.mp4", "--background", "transparent"], "--background transparent goes with --mode color and a .png only"),
    (["a.png", "--camera", "train:99"], "--camera train:99: wanted train:0 to train:2"),
    (["a.png", "--camera", "train:"], "--camera train:: wanted train:0 to train:2"),
    (["a.png", "--camera", "test:-1"], "--camera test:-1: wanted test:0 to test:0"),
    (["a.png", "--camera", "train:" + "9" * 5000], "wanted train:0 to train:2"),
    (["a.png", "--camera", "obrit"], "--camera obrit: wanted orbit, spiral, train:N, test:N or an existing JSON file"),
    (["a.png", "--camera", "m.safetensors"], "m.safetensors: expected JSON in UTF-8, found byte"),
    (["a.png", "--device", "cuda"], "--device cuda: PyTorch finds no CUDA device here"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda v: " ".join(v)[:30] if isinstance(v, list) else "")
def test_a_bad_request_is_one_line_and_writes_nothing(words, message, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert command(monkeypatch, "m.safetensors", *words) == 2
    said = capsys.readouterr().err
    assert said.startswith("render-scene: ")
    assert said.count("\n") == 1
    assert message in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [("--frames", -1), ("--size", 99999), ("--fps", 0), ("--fps", "nan")])
def test_numbers_out_of_range_name_the_flag(words, model, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, model, tmp_path / "a.png", *words) == 2
    said = capsys.readouterr().err
    assert words[0] in said
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_truncated_models_are_one_line(keep, model, tmp_path, monkeypatch, capsys):
    model.write_bytes(model.read_bytes()[:keep])
    assert command(monkeypatch, model, tmp_path / "a.png") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{model}: " in said
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_missing_model_and_a_folder_are_one_line(tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, tmp_path / "none.safetensors", tmp_path / "a.png") == 2
    assert capsys.readouterr().err == f"render-scene: {tmp_path / 'none.safetensors'}: no such file or folder\n"
    assert command(monkeypatch, tmp_path, tmp_path / "a.png") == 2
    assert capsys.readouterr().err == f"render-scene: {tmp_path}: Is a directory\n"


def test_a_model_without_cameras_needs_a_path(tmp_path, monkeypatch, capsys):
    path = block_file(tmp_path / "m.safetensors", [])
    assert command(monkeypatch, path, tmp_path / "a.png") == 2
    assert "holds no cameras, so that there is no orbit; give a camera path in JSON" in capsys.readouterr().err
    assert command(monkeypatch, path, tmp_path / "a.png", "--camera", "test:0") == 2
    assert "m.safetensors holds no test cameras" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves it where a film is stopped
def test_an_interrupted_film_leaves_the_old_file(model, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.mp4").write_bytes(b"old")

    frames = iter([torch.zeros(24, 32, 3), torch.ones(24, 32, 3)])

    def picture(*_):
        frame = next(frames, None)
        if frame is None:
            raise KeyboardInterrupt
        return frame

    monkeypatch.setattr(Still, "picture", property(picture))
    assert command(monkeypatch, model, tmp_path / "a.mp4", "--frames", 9) == 130
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "m.safetensors"]
    assert "render-scene: interrupted\n" in capsys.readouterr().err
    gc.collect()  # the stopped encoder's pipe goes here, not in a later test


def test_a_written_picture_is_zero_on_the_way_out(model, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, model, tmp_path / "a.png", "--size", 8) == 0
    assert f"{tmp_path / 'a.png'}: 1 frame, 11 x 8 pixels\n" in capsys.readouterr().err  # whole, however long


@pytest.mark.parametrize(
    ("free", "kind", "said"), [(0, OSError, "No space left"), (1 << 30, ValueError, "the encoder failed: broken pipe$")]
)
def test_an_encoder_that_fails_is_told_in_words_and_leaves_nothing(free, kind, said, tmp_path, monkeypatch):
    class Failing:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def append_data(self, _):
            raise OSError("broken pipe\n\nFFMPEG COMMAND:\n/bin/ffmpeg -y -f rawvideo")

    monkeypatch.setattr("render.films.imageio.get_writer", lambda *_, **__: Failing())
    monkeypatch.setattr("render.films.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(kind, match=said):
        write_film(tmp_path / "a.mp4", iter([torch.zeros(4, 4, 3)]), 10.0)
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_film(tmp_path / "a.gif", iter([]), 10.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX systems")
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio leaves it where a film is stopped
def test_a_film_that_a_signal_ends_leaves_the_old_one(name, status, model, tmp_path, monkeypatch, capsys):
    (tmp_path / "a.mp4").write_bytes(b"old")
    (tmp_path / ".a.mp4.abcdefgh.999999999.part").mkdir()  # as of one that was killed
    frames = iter([torch.zeros(24, 32, 3), torch.ones(24, 32, 3)])

    def picture(*_):
        frame = next(frames, None)
        if frame is None:
            os.kill(os.getpid(), getattr(signal, name))
            signal.pause()
        return frame

    monkeypatch.setattr(Still, "picture", property(picture))
    assert command(monkeypatch, model, tmp_path / "a.mp4", "--frames", 9) == status
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "m.safetensors"]
    assert f"render-scene: ended by {name}\n" in capsys.readouterr().err
    gc.collect()  # the stopped encoder's pipe goes here, not in a later test
