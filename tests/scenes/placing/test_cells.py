"""Cells that may hold something: inside every silhouette, and seen."""

import drawn
import pytest
import torch

from render.camera import Camera, Intrinsics, look_at
from render.occupancy import coarsen
from scenes.placing.cells import COARSE, possible_cells
from scenes.scene import Scene, View

G = COARSE
MOVE = torch.tensor([0.52, 0.517, 0.33])  # into the unit cube, with faces that cut off less than half a cell
SIZE = (192, 192)  # so that a pixel is smaller than half a cell
WIDE = torch.tensor([[-1.5, -1.5, -1.5], [2.5, 2.5, 2.5]])  # what three cascades reach


def view(pose, image, lens):
    height, width, _ = image.shape
    return View(Camera(pose, lens, (width, height)), image, torch.ones(height, width, dtype=torch.bool), "")


def scene(views, box, *, transparent):
    return Scene("s", tuple(views), (), box, torch.eye(4).double(), (1.0, 1.0, 1.0), transparent, ())


def block(count=24, lens=None):
    """Views all around and from below of the block, in scene units, and the block's corners."""
    lens, views = lens or Intrinsics(280, 280, 96, 96), []
    for pose in drawn.ring(count, radius=3.0, lowest=-2.0):
        moved = pose.clone()
        moved[:3, 3] += MOVE
        views.append(view(moved, drawn.picture(pose, lens, SIZE), lens))
    return views, torch.tensor(drawn.LOW) + MOVE, torch.tensor(drawn.HIGH) + MOVE


def places(cells, points, cascade):
    """The verdict (N,) on points (N, 3), looked up in one cascade."""
    i, j, k = (((points - 0.5) / 2**cascade + 0.5) * G).long().clamp(0, G - 1).unbind(-1)
    return cells[cascade, i + G * (j + G * k)]


def solid_points(low, high, generator):
    """Points in the block, and right below each of its faces."""
    points = low + (high - low) * torch.rand(7, 4000, 3, generator=generator)
    for axis in range(3):
        points[axis, :, axis], points[3 + axis, :, axis] = low[axis] + 1e-4, high[axis] - 1e-4
    return points.view(-1, 3)


LENSES = [
    Intrinsics(280, 280, 96, 96),
    Intrinsics(280, 260, 104, 90, "opencv", (-0.2, 0.03, 0.0, 0.0), (0.002, -0.003)),
    Intrinsics(260, 260, 96, 96, "fisheye", (0.05, -0.01, 0.0, 0.0)),
]


@pytest.mark.parametrize("lens", LENSES, ids=["pinhole", "distorted", "fisheye"])
def test_what_silhouettes_hold_stays_and_the_rest_goes(lens, generator):
    views, low, high = block(lens=lens)
    box = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    cells = possible_cells(scene(views, box, transparent=True), 1, G)
    assert cells.shape == (1, G**3)
    assert bool(places(cells, solid_points(low, high, generator), 0).all())
    share = float((high - low).prod())  # of the cube that the block fills
    assert share < float(cells.float().mean()) < 2.2 * share  # a visual hull, and the cells that it touches
    corner = torch.tensor([[0.97, 0.97, 0.03], [0.03, 0.97, 0.97], [0.97, 0.03, 0.97]])
    assert not bool(places(cells, corner, 0).any())


def test_several_cascades_and_finer_cells_say_the_same(generator):
    views, low, high = block(12)
    solid = solid_points(low, high, generator)
    coarse = possible_cells(scene(views, WIDE, transparent=True), 3, G)
    for cascade in (1, 2):
        inner = slice(G // 4, 3 * G // 4)
        assert not bool(coarse[cascade].view(G, G, G)[inner, inner, inner].any())  # the finer cascade says it
    coarse = coarsen(coarse, G)
    for cascade in (1, 2):
        assert bool(places(coarse, solid, cascade).all())
    beside = torch.tensor([[1.3, 0.5, 0.5], [-0.3, -0.3, 0.5], [0.5, 0.5, 1.3]])
    for cascade in (1, 2):
        assert not bool(places(coarse, beside, cascade).any())
    fine = possible_cells(scene(views, WIDE, transparent=True), 1, 2 * G)
    cube, twice = coarse[0].view(G, G, G), fine[0].view(2 * G, 2 * G, 2 * G)
    for shift in ((0, 0, 0), (1, 0, 1), (1, 1, 1)):
        assert torch.equal(twice[shift[0] :: 2, shift[1] :: 2, shift[2] :: 2], cube)


def test_cells_outside_the_box_go():
    views, _, _ = block(6)
    box = torch.tensor([[0.3, 0.0, 0.0], [1.0, 1.0, 0.5]])
    cube = possible_cells(scene(views, box, transparent=False), 1, G)[0].view(G, G, G)  # [z, y, x]
    assert not bool(cube[:, :, : int(0.3 * G) - 1].any())
    assert not bool(cube[G // 2 + 1 :].any())
    assert bool(cube[: G // 2, :, int(0.3 * G) + 1 :].any())


def opaque(pose, lens, size=(64, 48)):
    return view(pose, torch.full((size[1], size[0], 4), 255, dtype=torch.uint8), lens)


@pytest.mark.parametrize(
    "lens",
    [Intrinsics(60, 60, 32, 24), Intrinsics(40, 40, 32, 24, "fisheye"), Intrinsics(400, 400, 32, 24)],
    ids=["pinhole", "fisheye", "narrow"],
)
def test_opaque_scenes_keep_all_that_some_pixel_sees(lens):
    """Also at the pictures' rims: a cell goes only when no picture shows any part of it."""
    eye = torch.tensor([0.5, -0.6, 0.5])
    views = [opaque(look_at(eye, torch.tensor([0.5 + s, 1.0, 0.5]), drawn.UP), lens) for s in (-0.2, 0.1)]
    cells = coarsen(possible_cells(scene(views, WIDE, transparent=False), 3, G), G)
    t = torch.linspace(0.05, 3.5, 200)[:, None, None]
    for one in views:
        rays = one.camera.rays()
        points = (rays.origins + t * rays.directions).reshape(-1, 3)
        points = points[((points > WIDE[0]) & (points < WIDE[1])).all(-1)]
        for cascade in range(3):
            reached = points[((points - 0.5).abs() < 2.0**cascade / 2).all(-1)]
            assert bool(places(cells, reached, cascade).all())


def test_opaque_scenes_lose_what_no_camera_sees():
    lens = Intrinsics(60, 60, 32, 24)  # 28 degrees to either side
    view_along_y = opaque(look_at(torch.tensor([0.5, -0.6, 0.5]), torch.tensor([0.5, 1.0, 0.5]), drawn.UP), lens)
    cells = coarsen(possible_cells(scene([view_along_y], WIDE, transparent=False), 3, G), G)
    hidden = torch.tensor([[0.5, -1.2, 0.5], [2.2, 0.0, 0.5], [0.5, 0.2, 1.8], [-1.0, -0.5, 0.5]])
    assert not bool(places(cells, hidden, 2).any())
    assert not bool(places(cells, torch.tensor([[0.02, 0.02, 0.5], [0.98, 0.02, 0.5]]), 0).any())
    assert 0.05 < float(cells[2].float().mean()) < 0.3


def test_every_camera_counts_however_many_there_are():
    """More pictures than carve: a cell that only one of them sees still stays."""
    lens = Intrinsics(60, 60, 32, 24)
    away = opaque(look_at(torch.tensor([0.5, -0.6, 0.5]), torch.tensor([0.5, -3.0, 0.5]), drawn.UP), lens)
    toward = opaque(look_at(torch.tensor([0.5, -0.6, 0.5]), torch.tensor([0.5, 1.0, 0.5]), drawn.UP), lens)
    views = [away] * 151 + [toward] + [away] * 148
    cells = possible_cells(scene(views, torch.tensor([[0.0] * 3, [1.0] * 3]), transparent=False), 1, G)
    assert bool(places(cells, torch.tensor([[0.5, 0.5, 0.5]]), 0).all())


def test_masked_pixels_carve_nothing():
    views, _, _ = block(8)
    box = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    blind = [View(v.camera, v.image, torch.zeros_like(v.valid), v.name) for v in views]
    everything = possible_cells(scene(views, box, transparent=False), 1, G)
    assert torch.equal(possible_cells(scene(blind, box, transparent=True), 1, G), everything)
    assert int(possible_cells(scene(views, box, transparent=True), 1, G).sum()) < int(everything.sum())
