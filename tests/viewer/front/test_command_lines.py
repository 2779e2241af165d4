"""Command lines that repeat what was done: parsed again, they give the same flags."""

import math
import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import tyro

from distill import convert_scene, train_scene
from distill.conversion.settings import ConversionSettings as Conversion
from distill.photographs.settings import Settings
from render import render_scene
from viewer.front import command_lines
from viewer.messages import Convert, DrawFilm
from viewer.settings import ViewSettings

IDENTITY = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
ODD = 'it\'s a $HOME; rm -rf "x"/späte Aufnahme'

TRAINING = [
    train_scene.Flags(),
    train_scene.Flags("../data/chair", Settings(arch="mlp", preset="tiny", steps=500)),
    train_scene.Flags(ODD, Settings(out=Path(ODD), max_seconds=12.5, skip_missing=True, seed=3, resume=True)),
    train_scene.Flags("builtin:64", Settings(frequency="-x", save_every=1e-05, device="cpu"), json=True),
]
CONVERSION = [
    convert_scene.Flags("a.safetensors", Conversion("mlp")),
    convert_scene.Flags("a b.safetensors", Conversion("auto", out=Path("-odd"), min_psnr=28.5, max_bytes="600kB")),
    convert_scene.Flags(
        "a", Conversion("vm", phases=("a", "b"), active=(), crop=((-1, -1e-05, -0.5, 1, 1e20, 0.1 + 0.2),))
    ),
    convert_scene.Flags(
        "a", Conversion("vm", erase=((0, 0, 0, 1, 1, 1), (-2, -2, -2, -1, -1, -1)), min_density=1e-300)
    ),
]
DRAWING = [
    render_scene.Flags(Path("a.safetensors"), Path("out.mp4"), "path with spaces.json"),
    render_scene.Flags(Path(ODD), Path("~/x.png"), "train:3", size=200, mode="normal", fps=29.97),
]


@dataclass(frozen=True)
class Switches:
    plain: bool = False
    on: bool = True
    maybe: float | None = 2.0


def write(name: str, flags: object) -> str:
    return command_lines.join(name, *command_lines.words(flags))


def read(line: str, flags: type, name: str):
    program, *arguments = shlex.split(line)
    assert program == name
    return tyro.cli(flags, args=arguments)


@pytest.mark.parametrize(
    ("name", "flags"),
    [("train-scene", f) for f in TRAINING]
    + [("convert-scene", f) for f in CONVERSION]
    + [("render-scene", f) for f in DRAWING]
    + [("view-scene", ViewSettings(("a", "b c"), web=True, settings=Settings(arch="vm"), size=(8, 9)))]
    + [("x", Switches()), ("x", Switches(True, False, None))],
)
def test_a_line_parses_back_to_the_same_flags(name, flags):
    assert read(write(name, flags), type(flags), name) == flags


def test_only_what_differs_is_written():
    assert write("train-scene", train_scene.Flags()) == "train-scene"
    line = command_lines.repeat_training("chair", Settings(preset="tiny", max_resolution=400))
    assert line == "train-scene chair --preset tiny --max-resolution 400"
    assert write("x", Switches(True, False)) == "x --plain --no-on"


def test_a_shell_reads_it_as_it_is_meant():
    line = command_lines.repeat_training(ODD, Settings(out=Path("a b")))
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["train-scene", ODD, "--out", "a b"]


def test_a_name_that_looks_like_a_flag_stays_a_name():
    assert read(command_lines.repeat_training("-odd", Settings()), train_scene.Flags, "train-scene").data == "./-odd"


def test_a_turned_crop_is_repeated_in_degrees():
    asked = Convert(0, "vm", crop=(0.25, 0.25, 0.25, 0.5, 0.75, 0.75), out="a", crop_turn=math.radians(30))
    line = command_lines.repeat_conversion("a.safetensors", IDENTITY, asked, "a")
    assert "--crop-turn 30.0" in line
    assert "--crop-turn" not in command_lines.repeat_conversion(
        "a.safetensors", IDENTITY, replace(asked, crop=None), "a"
    )


def test_a_conversion_is_repeated_with_its_crop_in_input_coordinates():
    to_input = ((2.0, 0.0, 0.0, -1.0), (0.0, 2.0, 0.0, -1.5), (0.0, 0.0, 2.0, 0.25), (0.0, 0.0, 0.0, 1.0))
    asked = Convert(1, "triplane", "tiny", 300, (0.1, 0.2, 0.3, 0.6, 0.7, 0.8), "out dir")
    flags = read(
        command_lines.repeat_conversion("a.safetensors", to_input, asked, "a"), convert_scene.Flags, "convert-scene"
    )
    box = (-0.8, -1.1, 0.85, 0.2, -0.1, 1.85)
    wanted = Conversion("triplane", "tiny", out=Path("out dir"), crop=(box,), steps=300)
    assert flags == convert_scene.Flags("a.safetensors", wanted)
    plain = command_lines.repeat_conversion("a.safetensors", to_input, Convert(1, "mlp"), "a")
    assert plain == "convert-scene a.safetensors --to mlp --out runs/a_mlp"


def test_a_turned_box_holds_the_turned_corners():
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)))[0]
    similarity = torch.eye(4)
    similarity[:3, :3], similarity[:3, 3] = 3 * turn, torch.tensor([1.0, -2.0, 3.0])
    box = (0.0, 0.1, 0.2, 1.0, 0.9, 0.8)
    corners = torch.cartesian_prod(*torch.tensor(box).view(2, 3).T) @ similarity[:3, :3].T + similarity[:3, 3]
    got = torch.tensor(command_lines.carry(box, similarity.tolist())).view(2, 3)
    assert torch.allclose(got, torch.stack([corners.amin(0), corners.amax(0)]), atol=1e-5)  # float32 corners


def test_a_film_is_repeated_along_its_path_file():
    asked = DrawFilm(1, "out.mp4", (), 30.0, "depth")
    flags = read(
        command_lines.repeat_film("a.safetensors", asked, Path("path.json")), render_scene.Flags, "render-scene"
    )
    assert flags == render_scene.Flags(Path("a.safetensors"), Path("out.mp4"), "path.json", mode="depth")
    with pytest.raises(ValueError, match="not error"):
        command_lines.repeat_film("a.safetensors", replace(asked, mode="error"), Path("path.json"))


def test_a_screenshot_is_repeated():
    names, out = ("a.safetensors", "b c"), Path("out.png")
    wanted = ViewSettings(names, mode="depth", view=7, screenshot=out, size=(640, 480))
    line = write("view-scene", wanted)
    assert line == "view-scene a.safetensors 'b c' --mode depth --view 7 --screenshot out.png --size 640 480"
    assert read(line, ViewSettings, "view-scene") == wanted
    plain = ViewSettings(("a",), screenshot=Path("o.png"), size=(8, 8))
    assert write("view-scene", plain) == "view-scene a --screenshot o.png --size 8 8"


@pytest.mark.parametrize("value", [{"a": 1}, [1], object()])
def test_what_has_no_form_on_a_command_line_is_refused(value):
    with pytest.raises(ValueError, match="no form on a command line"):
        write("x", replace(Switches(), maybe=value))
