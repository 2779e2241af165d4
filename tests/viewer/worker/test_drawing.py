"""A pass draws what render-scene draws, in tiles of any size; cuts, units and lens; the mean over passes."""

import math
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from analytic import (
    BLOCK,
    UNIT_BOX,
    Ball,
    G,
    block_bits,
    block_bounds,
    block_file,
    camera,
    full_grid,
    loaded,
    seen_through,
)
from PIL import Image

from render.camera import moved
from render.kernels.march import cross_box
from render.looks import MODES, trace_cells
from render.metrics import psnr
from render.mode_names import DRAWABLE
from render.model import open_model
from render.occupancy import OccupancyGrid
from render.pictures import GroundTruth, bytes_of
from render.render_scene import Flags, render
from render.renderer import Pixels, Renderer
from render.units import UNIT_STEP
from viewer.messages import FrameRequest
from viewer.worker import drawing
from viewer.worker.drawing import (
    FEWEST,
    MOST,
    PATIENCE,
    FrameSource,
    PassOrder,
    PassSum,
    World,
    carry_box,
    choose_tile,
    crop_grid,
    draw_pass,
    find_carry,
    measure_psnr,
)

CPU = torch.device("cpu")
STRETCH = torch.tensor([[0, -2.0, 0, 0.3], [2.0, 0, 0, -0.1], [0, 0, 2.0, 0.2], [0, 0, 0, 1]], dtype=torch.float64)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return block_file(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture(scope="module")
def model(path):
    return open_model(path, CPU)


@pytest.fixture(scope="module")
def source(model):
    return FrameSource.of_model(model, World(model.transform))


def ball(sigma=3.0):
    one = loaded(Ball(sigma))
    return FrameSource.of_model(one, World(one.transform))


def drawn(source, request, number=0, truth=None, view=None):
    done = draw_pass(source, request, view or request.camera, PassOrder(number, truth), lambda: False)
    assert done is not None
    return done


def image(source, request):
    return PassSum.of(drawn(source, request)).image(request)


@pytest.mark.parametrize("mode", DRAWABLE)
def test_pass_zero_has_the_bytes_of_render_scene(mode, path, model, source, tmp_path):
    render(Flags(path, tmp_path / "a.png", camera="train:1", size=60, mode=mode))
    with Image.open(tmp_path / "a.png") as picture:
        want = np.asarray(picture)
    request = FrameRequest(1, model.train_cameras[1].resized(80, 60), (0,), mode)
    assert np.array_equal(image(source, request), want)


@pytest.mark.parametrize("mode", MODES)
def test_tiles_of_any_size_give_the_same_picture(mode, source, monkeypatch):
    request = FrameRequest(1, camera((67, 45)), (0,), mode)
    pictures = []
    for first in (FEWEST, MOST):
        monkeypatch.setattr(drawing, "PATIENCE", 1e-9)
        monkeypatch.setattr(drawing, "FIRST", first)
        pictures.append(image(source, request))
    assert np.array_equal(*pictures)
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 1


def test_the_next_tile_takes_about_as_long_as_it_may():
    assert choose_tile(8000, PATIENCE) == 8000
    assert choose_tile(8000, 2 * PATIENCE) == 4000
    assert choose_tile(8000, 0.001) == 16000
    assert choose_tile(8000, 10.0) == FEWEST
    assert choose_tile(MOST, 1e-6) == MOST


def test_a_pass_is_given_up_once_it_is_cancelled(monkeypatch):
    one, asked = ball(), []
    monkeypatch.setattr(drawing, "PATIENCE", 1e-9)
    monkeypatch.setattr(drawing, "FIRST", FEWEST)

    def cancelled():
        asked.append(one.field.asked)
        return len(asked) == 3

    assert draw_pass(one, FrameRequest(1, camera((64, 48)), (0,)), camera((64, 48)), PassOrder(), cancelled) is None
    assert asked[0] == 0 < asked[1] < asked[2] == one.field.asked


def test_nothing_nearer_than_the_near_distance_is_drawn():
    near, view = 1.6, camera((64, 48))
    enter, leave = ball().field.chord(view.rays())
    want, _ = seen_through(3.0, enter.clamp(min=near), leave.clamp(min=near))
    got = drawn(ball(), FrameRequest(1, view, (0,), "opacity", near=near)).picture[..., 0].flatten()
    torch.testing.assert_close(got, want, atol=3.0 * UNIT_STEP + 1e-4, rtol=0)  # a step at either end


def test_a_crop_draws_the_same_samples_inside_and_none_outside():
    view = camera((64, 48))
    rays, low, high = view.rays(), [0.3, 0.2, 0.45], [0.8, 0.55, 0.9]
    request = FrameRequest(1, view, (0,), "opacity", crop=(*low, *high))
    got = drawn(ball(), request)
    samples = full_grid().march(rays, UNIT_STEP, 0.0)
    points, box = samples.positions(rays), torch.tensor([low, high])
    keeps = ((points > box[0]) & (points < box[1])).all(-1)
    sigma = 3.0 * ((points - 0.5).norm(dim=-1) < 0.3)
    thickness = torch.zeros(len(rays)).index_add(0, samples.ray, sigma * samples.dt * keeps)
    torch.testing.assert_close(got.picture[..., 0].flatten(), -torch.expm1(-thickness), atol=2e-3, rtol=0)  # a sample
    assert got.samples == pytest.approx(int(keeps.sum()), rel=1e-3)
    assert drawn(ball(), replace(request, crop=(2.0, 2.0, 2.0, 3.0, 3.0, 3.0))).samples == 0


def test_the_background_can_be_another_one(source):
    view = camera()
    assert image(source, FrameRequest(1, view, (0,)))[0, 0].tolist() == [255, 0, 255]  # the block's own
    assert image(source, FrameRequest(1, view, (0,), background=(0.0, 1.0, 0.2)))[0, 0].tolist() == [0, 255, 51]


def stretched(model):
    """The block as a second model, whose scene units are twice as short, turned and shifted against the world's."""
    world = World(torch.linalg.inv(STRETCH) @ model.transform)
    return FrameSource.of_model(model, world)


def test_a_source_in_other_units_is_drawn_where_it_is_in_the_world(model):
    one, other = FrameSource.of_model(model, World(model.transform)), stretched(model)
    torch.testing.assert_close(other.carry, STRETCH)
    assert other.unit == pytest.approx(2)
    view = camera((64, 48))
    inverse = torch.linalg.inv(STRETCH)
    world_view = replace(view, pose=moved(view.pose, inverse))
    box = carry_box(torch.tensor([[0.3, 0.2, 0.3], [0.8, 0.6, 0.6]]), inverse)
    near, crop = 1.6, (0.3, 0.2, 0.3, 0.8, 0.6, 0.6)
    for mode in ("color", "opacity", "occupancy", "cost"):
        a = drawn(one, FrameRequest(1, view, (0,), mode, near=near, crop=crop))
        b = drawn(other, FrameRequest(1, world_view, (0,), mode, near=near / 2, crop=tuple(box.flatten().tolist())))
        off = (a.picture - b.picture).abs().amax(-1) > 0.01  # rays that graze an edge: the pose is rounded
        assert float(off.float().mean()) < 0.01
        assert a.samples == pytest.approx(b.samples, rel=0.01)
    sharp, blurred = FrameRequest(1, view, (0,)), FrameRequest(1, view, (0,), aperture=0.2, focus=1.0)
    a = drawn(one, blurred, 5).picture
    assert not torch.allclose(a, drawn(one, sharp, 5).picture, atol=0.1)
    b = drawn(other, replace(blurred, camera=world_view, aperture=0.1, focus=0.5), 5).picture
    assert float(((a - b).abs().amax(-1) > 0.01).float().mean()) < 0.01


def test_depth_and_normals_are_those_of_the_world(model):
    class Slope(Ball):  # log-density grows along its own -x
        def density(self, x):
            return 400 * torch.exp(-8 * x[:, 0]), x

    view = camera((32, 24))
    inverse = torch.linalg.inv(STRETCH)
    world_view = replace(view, pose=moved(view.pose, inverse))
    first = FrameSource(Slope(), full_grid(), Renderer(), (1, 1, 1), torch.eye(4).double(), World(torch.eye(4)))
    other = replace(first, carry=STRETCH)
    own = drawn(first, FrameRequest(1, view, (0,), "normal")).picture
    seen = drawn(other, FrameRequest(1, world_view, (0,), "normal")).picture
    solid = (own - torch.tensor([1.0, 0.5, 0.5])).abs().amax(-1) < 0.01  # along +x
    assert int(solid.sum()) > 100
    want = inverse[:3, 0] / inverse[:3, 0].norm() / 2 + 0.5
    torch.testing.assert_close(seen[solid], want.float().expand(int(solid.sum()), 3), atol=0.01, rtol=0)
    a = drawn(first, FrameRequest(1, view, (0,), "depth"))
    b = drawn(other, FrameRequest(1, world_view, (0,), "depth"))
    assert [2 * distance for distance in b.span] == pytest.approx(a.span, abs=1e-3)  # of units half as long
    torch.testing.assert_close(a.picture[solid], b.picture[solid], atol=5e-3, rtol=0)


def test_depth_is_stretched_to_what_is_seen_or_shown_as_asked(source):
    view = camera((64, 48))
    request = FrameRequest(1, view, (0,), "depth")
    one = drawn(source, request)
    enter, leave = cross_box(view.rays().origins, view.rays().directions, block_bounds())
    hit = enter[leave - enter > 0.05]
    assert one.span == pytest.approx((float(hit.min()), float(hit.max())), abs=0.05)
    wider = (one.span[0] - 1, one.span[1] + 1)
    other = draw_pass(source, request, view, PassOrder(0, None, wider), lambda: False)
    assert other.span == wider
    assert len({tuple(pixel) for pixel in bytes_of(other.picture).reshape(-1, 3).tolist()}) < len(
        {tuple(pixel) for pixel in bytes_of(one.picture).reshape(-1, 3).tolist()}
    )
    unit = source.world.unit
    assert [float(label) for label in one.legend.labels[:: len(one.legend.labels) - 1]] == pytest.approx(
        [distance * unit for distance in one.span], rel=0.01
    )


def test_errors_are_explained_where_there_is_a_photograph(source):
    view = camera()
    request = FrameRequest(1, view, (0,), "error")
    assert drawn(source, request).legend is None
    assert drawn(source, request, truth=photograph(view)).legend.labels[0] == "0"
    assert drawn(source, replace(request, mode="color")).legend is None


def test_what_was_opened_first_is_not_carried(model):
    world = World(model.transform)
    assert torch.equal(find_carry(world, model.transform), torch.eye(4, dtype=torch.float64))
    assert carry_box(UNIT_BOX, torch.eye(4)).equal(UNIT_BOX)
    run = SimpleNamespace(
        field=model.field, renderer=model.renderer, source=SimpleNamespace(grid=model.grid),
        place=SimpleNamespace(transform=model.transform, box=UNIT_BOX, background=(1.0, 0.0, 1.0)),
    )  # fmt: skip
    live = FrameSource.of_learning(run, World(model.transform))
    assert live.carry.equal(torch.eye(4, dtype=torch.float64))
    request = FrameRequest(1, camera(), (0,))
    assert np.array_equal(image(live, request), image(FrameSource.of_model(model, world), request))


def photograph(view, seed=0):
    width, height = view.size
    rgb = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))
    valid = torch.ones(height, width, dtype=torch.bool)
    valid[:5] = False
    return GroundTruth(rgb, valid, (0.2, 0.4, 0.6))


def test_quality_is_that_of_whole_first_passes_over_the_photographs_background(source, model):
    view = camera()
    truth, request = photograph(view), FrameRequest(1, view, (0,), background=(0.0, 0.0, 0.0), exposure=2.0)
    over = model.image(view).pixels.over(torch.tensor(truth.background)).clamp(0, 1)
    # a picture's rays are made by the kernel that draws it, and rounded otherwise
    assert drawn(source, request, truth=truth).psnr == pytest.approx(psnr(over, truth.rgb, truth.valid), abs=1e-6)
    assert drawn(source, request).psnr is None
    assert drawn(source, request, 1, truth).psnr is None
    for change in ({"near": 0.1}, {"crop": (0.0, 0, 0, 1, 1, 1)}, {"mode": "depth"}, {"camera": camera((64, 48))}):
        assert drawn(source, replace(request, **change), truth=truth, view=view).psnr is None


def test_the_error_is_that_of_the_mean_over_passes(source, model):
    view = camera()
    truth, request = photograph(view), FrameRequest(1, view, (0,), "error")
    first, second = (drawn(source, request, n, truth) for n in (0, 1))
    over = model.image(view).pixels.over(torch.tensor(truth.background)).clamp(0, 1)
    torch.testing.assert_close(first.picture, over)
    stack = PassSum.of(first).plus(second)
    error = ((first.picture + second.picture) / 2 - truth.rgb).abs().mean(-1)
    red = (error * 4 * 3).clamp(0, 1) * truth.valid
    assert np.abs(stack.image(request, truth)[..., 0] / 255 - red.numpy()).max() < 0.51 / 255  # rounded
    assert stack.passes == 2


def test_many_passes_come_near_the_areas_of_pixels():
    """Opacity of an opaque block against the mean over 16 x 16 rays a pixel."""
    field = Ball(sigma=1e5)
    one = FrameSource(field, full_grid(), Renderer(), (1, 1, 1), torch.eye(4).double(), World(torch.eye(4)))
    view, fine = camera((24, 18)), camera((24 * 16, 18 * 16))
    enter, leave = field.chord(fine.rays())
    want = (leave > enter).float().view(18, 16, 24, 16).mean((1, 3))
    request = FrameRequest(1, view, (0,), "opacity")
    stack = PassSum.of(drawn(one, request))
    before = float((stack.total[..., 0] - want).abs().max())
    for number in range(1, 32):
        stack = stack.plus(drawn(one, request, number))
    after = float((stack.total[..., 0] / stack.passes - want).abs().max())
    assert before > 0.3
    assert after < 0.1
    assert stack.total.shape == (18, 24, 3)


def test_occupancy_asks_no_field(model):
    class Dumb(Ball):
        def density(self, x):
            raise AssertionError("asked")

    one = FrameSource.of_model(replace(model, field=Dumb()), World(model.transform))
    view = camera()
    done = drawn(one, FrameRequest(1, view, (0,), "occupancy"))
    assert done.samples == 0
    enter, leave = cross_box(view.rays().origins, view.rays().directions, block_bounds())
    seen = trace_cells(model.grid, view.rays(), 0.0).pixels.opacity > 0
    assert bool(seen[leave - enter > 0.01].all())
    assert not bool(seen[leave < enter].any())


def test_seconds_are_told(source):
    begin = time.perf_counter()
    done = drawn(source, FrameRequest(1, camera(), (0,)))
    assert 0 < done.seconds < time.perf_counter() - begin


def masked_photograph():
    rgb, valid = torch.full((2, 3, 3), 0.5), torch.ones(2, 3, dtype=torch.bool)
    valid[1, 2] = False
    return GroundTruth(rgb, valid, (1.0, 1.0, 1.0))


def test_quality_is_taken_over_the_photographs_background_without_masked_pixels():
    truth, generator = masked_photograph(), torch.Generator().manual_seed(0)
    opacity = torch.rand(2, 3, generator=generator)
    pixels = Pixels(torch.rand(2, 3, 3, generator=generator) * opacity[..., None], opacity, opacity)
    want = psnr((pixels.rgb + 1 - opacity[..., None]).clamp(0, 1), truth.rgb, truth.valid)
    assert measure_psnr(pixels, truth) == pytest.approx(want, abs=1e-6)
    assert measure_psnr(pixels, replace(truth, valid=torch.zeros(2, 3, dtype=torch.bool))) is None


def test_a_picture_of_another_size_than_the_photograph_has_no_quality():
    fine, small = (
        GroundTruth(torch.rand(8, 12, 3), torch.ones(8, 12, dtype=torch.bool), (1.0, 1.0, 1.0)),
        torch.zeros(2, 3),
    )
    assert measure_psnr(Pixels(torch.rand(2, 3, 3), small, small), fine) is None


def test_a_turned_crop_draws_what_lies_in_it_in_the_units_of_any_source(model):
    """Turned by a quarter it is the box with its sides swapped; in other units and axes it shows the same."""
    one, other = FrameSource.of_model(model, World(model.transform)), stretched(model)
    view, inverse = camera((64, 48)), torch.linalg.inv(STRETCH)
    box, swapped = (0.3, 0.4, 0.3, 0.8, 0.6, 0.6), (0.45, 0.25, 0.3, 0.65, 0.75, 0.6)
    straight = drawn(one, FrameRequest(1, view, (0,), "opacity", crop=swapped)).picture
    for turn in (math.pi / 2, -math.pi / 2, math.pi / 2 - 1e-5):
        got = drawn(one, FrameRequest(1, view, (0,), "opacity", crop=box, crop_turn=turn)).picture
        assert float(((got - straight).abs().amax(-1) > 0.02).float().mean()) < 0.01  # rays that graze an edge
    turned = FrameRequest(1, view, (0,), crop=box, crop_turn=0.4)
    a = drawn(one, turned)
    assert not torch.allclose(a.picture, drawn(one, replace(turned, crop_turn=0.0)).picture, atol=0.1)
    # the other world lies a quarter turned about Z, so that its box keeps its sides only if its turn says so
    corners = carry_box(torch.tensor(box).view(2, 3), inverse)
    world_view = replace(view, pose=moved(view.pose, inverse))
    b = drawn(other, replace(turned, camera=world_view, crop=tuple(corners.flatten().tolist())))
    assert float(((a.picture - b.picture).abs().amax(-1) > 0.02).float().mean()) < 0.02
    cells = drawn(one, replace(turned, mode="occupancy"))
    assert cells.samples == 0
    assert not torch.equal(cells.picture, drawn(one, replace(turned, mode="occupancy", crop=None)).picture)


def test_a_crop_is_what_both_boxes_share():
    grid, (low, high) = OccupancyGrid(block_bits(), UNIT_BOX, G), BLOCK / G
    assert torch.equal(crop_grid(grid, torch.stack([low - 9, high])).box, torch.stack([torch.zeros(3), high]))
    apart = crop_grid(grid, torch.tensor([[2.0, 0, 0], [3, 1, 1]]))
    assert float(trace_cells(apart, camera().rays(), 0.0).pixels.opacity.sum()) == 0
