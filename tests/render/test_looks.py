"""What the modes show: exposure, errors, cost, the first occupied cells; another mode is one entry in one file."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from analytic import UNIT_BOX, G, block_bits, block_bounds, block_file, camera, full_grid

from render import mode_names
from render.kernels.march import cross_box
from render.looks import DIM, FINE, LIGHT, MODES, MOST_SAMPLES, TINTS, Backdrop, Exposure, trace_cells
from render.occupancy import OccupancyGrid, pack
from render.pictures import ERROR_GAIN, GroundTruth, bytes_of, depth_picture, error_picture, expose
from render.renderer import Frame, Pixels


def block_grid():
    return OccupancyGrid(block_bits(), UNIT_BOX, G)


def light_of(srgb):
    """Linear light of one sRGB value."""
    return srgb / 12.92 if srgb <= 0.04045 else ((srgb + 0.055) / 1.055) ** 2.4


def test_no_exposure_leaves_every_bit_alone():
    picture = torch.rand(4, 5, 3)
    assert expose(picture, 0.0) is picture
    assert MODES["color"].finish(picture, Exposure()) is picture


@pytest.mark.parametrize("stops", [-3.0, 0.5, 1.0])
def test_exposure_acts_on_light(stops):
    values = torch.tensor([0.0, 0.01, 0.04, 0.2, 0.5, 0.6])
    got = expose(values.view(1, 2, 3), stops).flatten().tolist()
    for before, after in zip(values.tolist(), got, strict=True):
        assert light_of(after) == pytest.approx(min(light_of(before) * 2**stops, 1), abs=1e-6)


def test_exposure_ends_at_white():
    assert float((expose(torch.full((1, 1, 3), 0.9), 4.0) - 1).abs().max()) < 1e-6  # rounding of powers


def test_only_colours_are_expose():
    picture = torch.rand(4, 5, 3)
    assert MODES["depth"].finish(picture, Exposure(2.0)) is picture
    assert not torch.equal(MODES["color"].finish(picture, Exposure(2.0)), picture)


def photograph():
    rgb, valid = torch.full((2, 3, 3), 0.5), torch.ones(2, 3, dtype=torch.bool)
    valid[1, 2] = False
    return GroundTruth(rgb, valid, (1.0, 1.0, 1.0))


def test_errors_are_heat_times_the_gain_and_masked_pixels_black():
    truth, step = photograph(), 1 / (3 * ERROR_GAIN)
    picture = truth.rgb + step * torch.tensor([[0.0, 1, 2], [3, -1, 1]])[..., None]
    want = torch.tensor([[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[1, 1, 1], [1, 0, 0], [0, 0, 0]]]).float()
    torch.testing.assert_close(error_picture(picture, truth), want, atol=1e-5, rtol=0)
    assert torch.equal(
        MODES["error"].finish(picture, Exposure(3.0, truth)), error_picture(picture, truth)
    )  # exposure is for colours
    assert MODES["error"].finish(picture, Exposure()) is picture


def test_coarse_pictures_are_compared_with_means_of_the_photograph():
    generator = torch.Generator().manual_seed(0)
    fine = GroundTruth(torch.rand(8, 12, 3, generator=generator), torch.ones(8, 12, dtype=torch.bool), (1.0, 1.0, 1.0))
    means = fine.rgb.view(2, 4, 3, 4, 3).mean((1, 3))
    assert float(error_picture(means, fine).max()) < 1e-5
    coarse = GroundTruth(means, torch.ones(2, 3, dtype=torch.bool), (1.0, 1.0, 1.0))
    torch.testing.assert_close(error_picture(means * 0.8, fine), error_picture(means * 0.8, coarse))


def test_cost_is_a_share_of_the_stated_number():
    nothing = torch.zeros(1, 4)
    counts = torch.tensor([[0, MOST_SAMPLES // 3, MOST_SAMPLES, 9999]], dtype=torch.int32)
    frame = Frame(Pixels(torch.zeros(1, 4, 3), nothing, nothing), counts)
    picture = MODES["cost"].picture(frame, Backdrop((1, 1, 1), (0, 1)))
    assert picture.tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]]]


def explained(mode, **changes):
    legend = MODES[mode].legend(Backdrop((1, 1, 1), (2.0, 5.0), **changes))
    return legend.labels, legend.colors


def test_distances_are_explained_in_input_units_by_the_colours_that_they_have():
    labels, colours = explained("depth", unit=10.0)
    assert labels == ("20", "30", "40", "50")
    drawn = bytes_of(depth_picture(torch.tensor([[2.0, 5.0]]), torch.ones(1, 2), (2.0, 5.0)))
    assert [colours[0], colours[-1]] == [tuple(pixel) for pixel in drawn[0].tolist()]


def test_other_numbers_are_explained_by_the_colours_that_they_have():
    labels, colours = explained("cost")
    assert labels == ("0", "32", "64", f"{MOST_SAMPLES}+")
    assert (colours[0], colours[-1]) == ((0, 0, 0), (255, 255, 255))
    assert explained("error")[0] == ("0", "0.0833", "0.167", "0.25+")
    labels, colours = explained("occupancy", unit=2.0, cells=(1 / 128, 1 / 64))
    assert labels == ("0.0156", "0.0312")
    assert colours == tuple(tuple(round(255 * n) for n in tint) for tint in TINTS[:2])
    assert {name for name, mode in MODES.items() if not mode.legend} == {"color", "normal"}


@pytest.mark.parametrize("azimuth", [0.4, 2.2, 3.7, 5.5])
def test_cells_are_lit_by_the_face_through_which_rays_enter(azimuth):
    rays, box = camera((64, 48), azimuth=azimuth, elevation=-0.3).rays(), block_bounds()
    frame = trace_cells(block_grid(), rays, 0.0)
    enter, leave = cross_box(rays.origins, rays.directions, box)
    hit = frame.pixels.opacity > 0
    assert not bool((hit & (leave <= enter)).any())
    assert bool(hit[leave - enter > 1 / (FINE * G)].all())
    # independent of cells: the block's face that the entry point lies on
    place = rays.origins + enter[:, None] * rays.directions
    distance = torch.stack([place - box[0], box[1] - place]).abs()  # (2, R, 3)
    axis, side = distance.amin(0).argmin(-1), distance.amin(-1).argmin(0)
    deep = (enter - cross_box(rays.origins, rays.directions, UNIT_BOX)[0]) / 3**0.5  # shares of the box's diagonal
    bright = (1 - DIM * deep) * 0.4 * (1.5 + torch.tensor(LIGHT)[axis] * torch.where(side == 1, 1.0, -1.0))
    want = torch.tensor(TINTS[0]) * bright[:, None]
    inner = (leave - enter > 2 / G) & (distance.amin(0).sort(-1).values[:, 1] > 1 / (FINE * G))  # away from edges
    assert int(inner.sum()) > 200
    right = (frame.pixels.rgb - want).abs().amax(-1)[inner] < 1e-3  # a step deeper at most
    assert float(right.float().mean()) > 0.98  # the others leave their first cell within a step
    late = frame.pixels.depth[inner] - enter[inner]
    assert float(late.min()) >= 0
    assert float(late.max()) <= 1 / (FINE * G) + 1e-6
    assert frame.samples == 0


def test_all_six_faces_differ_in_brightness():
    bright = sorted(side * axis for axis in LIGHT for side in (-1, 1))
    assert min(b - a for a, b in pairwise(bright)) > 0.15
    assert sum(axis**2 for axis in LIGHT) == pytest.approx(1, abs=0.01)


def test_coarser_cascades_have_another_tint():
    bits = torch.ones(2, G**3, dtype=torch.bool)
    bits[0] = False  # only what lies outside of the unit cube is occupied
    wide = torch.tensor([[-0.5, -0.5, -0.5], [1.5, 1.5, 1.5]])
    frame = trace_cells(OccupancyGrid(pack(bits), wide, G), camera((16, 12), distance=3.0).rays(), 0.0)
    seen = frame.pixels.rgb[frame.pixels.opacity > 0]
    ratio = seen / torch.tensor(TINTS[1])
    torch.testing.assert_close(ratio, ratio[:, :1].expand(-1, 3), atol=1e-5, rtol=0)
    assert not torch.allclose(torch.tensor(TINTS[0]) / torch.tensor(TINTS[1]), torch.ones(3), atol=0.1)


def test_cells_before_the_near_distance_are_left_out():
    rays = camera().rays()
    frame = trace_cells(full_grid(), rays, 1.5)
    assert float(frame.pixels.depth[frame.pixels.opacity > 0].min()) >= 1.5


ADDED = """
Mode("inverse", "what is not there", picture=lambda f, _: opacity_picture(1 - f.pixels.opacity)),
"""
TRIAL = """
import sys
from pathlib import Path
import numpy as np, torch, tyro
from PIL import Image
from render import render_scene
from viewer import screenshot
from viewer.front import actions, command_lines, keys
from viewer.front.session import State
from viewer.front.updates import PanelState, Update
from viewer.messages import DrawFilm
from viewer.settings import ViewSettings
model, folder = Path(sys.argv[1]), Path(sys.argv[2])
render_scene.render(render_scene.Flags(model, folder / "a.png", "train:1", size=30, mode="inverse"))
render_scene.render(render_scene.Flags(model, folder / "b.png", "train:1", size=30, mode="opacity"))
drawn, other = (np.asarray(Image.open(folder / name)).astype(int) for name in ("a.png", "b.png"))
assert abs(drawn + other - 255).max() <= 1 and drawn.min() == 0 and drawn.max() == 255
wanted = screenshot.ScreenshotOptions("inverse", view=1, size=(40, 30))
assert (screenshot.draw_screenshot([model], None, wanted, torch.device("cpu")) == drawn).all()
assert keys.ACTIONS["_1"] == "mode_inverse"
assert actions.act(Update(State(), PanelState()), "mode_inverse").state.display.mode == "inverse"
assert "--mode inverse" in command_lines.repeat_film("a.safetensors", DrawFilm(0, "b.mp4", (), 24.0, "inverse"), "c")
for flags, place in ((render_scene.Flags, ["a", "b.png"]), (ViewSettings, ["a"])):
    assert tyro.cli(flags, args=[*place, "--mode", "inverse"]).mode == "inverse"
print("shown everywhere")
"""


def test_another_mode_is_one_entry_in_one_file(tmp_path):
    for folder in ("fields", "render", "scenes", "distill", "viewer"):
        shutil.copytree(Path(__file__).parents[2] / folder, tmp_path / folder)
    looks = tmp_path / "render" / "looks.py"
    source = looks.read_text(encoding="utf-8")
    looks.write_text(source.replace("    for mode in (", f"    for mode in ({ADDED}", 1), encoding="utf-8")
    command = [sys.executable, "-c", TRIAL, block_file(tmp_path / "m.safetensors"), tmp_path]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("shown everywhere\n"), done.stderr


def test_the_names_that_flags_offer_are_those_of_the_table():
    assert tuple(MODES) == mode_names.NAMES
    assert tuple(name for name, mode in MODES.items() if mode.wants == "model") == mode_names.DRAWABLE
    assert tuple(name for name, mode in MODES.items() if mode.values) == mode_names.VALUES
