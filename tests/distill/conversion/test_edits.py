"""Edits: exact at every point, never a cell lost that holds something, and the model they are made from untouched."""

import math
from dataclasses import replace
from pathlib import Path
from typing import final

import pytest
import torch
from analytic import BLOCK_SIGMA, TRANSFORM, UNIT_BOX, G, block_bits, block_bounds, block_field, block_header, camera
from torch import nn

from distill.conversion.edited import GONE, edited, meets, require_something, uncut, without
from distill.conversion.edits import Edits
from fields.base import FEATURES, Architecture
from fields.field import Field
from fields.files import ModelError
from fields.heads import radiance
from fields.shape import preset
from fields.space import Space
from render.kernels.march import cross_box
from render.model import LoadedModel
from render.occupancy import OccupancyGrid, cascades_for, coarsen, pack, unpack
from render.renderer import Renderer

CROP = (-0.6, -0.7, -0.5, 0.5, 0.8, 0.9)  # input coordinates
HOLES = ((-0.2, -0.3, -0.4, 0.3, 0.1, 0.2), (0.1, -0.1, -0.9, 0.45, 0.6, 0.05))
EDGE = 1e-5  # input units: rounding of float32 points, 6e-8 of coordinates near 1, in a scene 2 units to 1


def turned(scale=0.4, offset=(0.55, 0.45, 0.5)):
    """A similarity whose axes are those of neither frame."""
    x, y, z, w = torch.nn.functional.normalize(torch.tensor([0.3, -0.2, 0.4, 0.8], dtype=torch.float64), dim=0)
    result = torch.eye(4, dtype=torch.float64)
    result[:3, :3] = scale * torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    result[:3, 3] = torch.tensor(offset, dtype=torch.float64)
    return result


def opened(field, transform, bits=None):
    """A model around a field, every cell occupied where no bits are given."""
    count, box = cascades_for(field.space.box), field.space.box
    bits = torch.full((count, G**3 // 8), 255, dtype=torch.uint8) if bits is None else bits
    header = replace(block_header(), box=box.tolist(), transform=transform.tolist())
    return LoadedModel(field.eval(), OccupancyGrid(bits, box, G), Renderer(), header, (), ())


def some_field(generator, box=UNIT_BOX):
    return preset("triplane", "tiny").build(Space(box), generator)


def inputs(points, transform):
    """Scene units -> input coordinates, float64."""
    return torch.linalg.solve(transform[:3, :3], (points.double() - transform[:3, 3]).T).T


def depth(points, box):
    """How far inside a box points (N, 3) are, negative outside."""
    low, high = torch.tensor(box, dtype=torch.float64).view(2, 3)
    return torch.minimum(points - low, high - points).amin(-1)


def kept_depth(points):
    """How far inside of what CROP and HOLES leave points are; no more than a bound outside."""
    return torch.stack([depth(points, CROP), *(-depth(points, hole) for hole in HOLES)]).amin(0)


@final
class Rule(Architecture):
    """Log-density by a function of the place in the unit box; the other features are the place."""

    rate = 1.0

    def __init__(self, rule):
        super().__init__()
        self.config, self.rule, self.unused = None, rule, nn.Parameter(torch.zeros(1))

    def features(self, x):
        return torch.cat([self.rule(x)[:, None], x, x.new_zeros(len(x), FEATURES - 4)], -1)


def ruled(rule, box=UNIT_BOX):
    head = radiance.Readout(FEATURES, None, torch.Generator().manual_seed(0))
    return opened(Field(Rule(rule), head, Space(box)), torch.eye(4).double())


def slope(x):
    return 20 * (x[:, 0] - 0.5)


@torch.no_grad()
def test_density_is_gone_on_one_side_of_every_face_and_as_it_was_on_the_other(generator):
    model = opened(some_field(generator), turned())
    result = edited(model, Edits(CROP, HOLES))
    low, high = result.grid.box
    anywhere = low + (high - low) * torch.rand(20_000, 3, generator=generator)
    faces = [face for box in (CROP, *HOLES) for face in near_faces(box, generator)]
    scene = torch.cat(faces) @ turned()[:3, :3].T + turned()[:3, 3]
    points = torch.cat([anywhere, scene.float()])
    points = points[((points >= low) & (points <= high)).all(-1)]
    inside = kept_depth(inputs(points, turned()))
    points, inside = points[inside.abs() > EDGE], inside[inside.abs() > EDGE]
    assert min(int((inside > 0).sum()), int((inside < 0).sum())) > 2000
    assert min(int((inside > 0).sum()), int((inside < 0).sum()), int((inside.abs() < 1e-3).sum())) > 500
    (sigma, features), (was, before) = result.field.density(points), model.field.density(points)
    gone = torch.full_like(sigma[inside < 0], math.exp(GONE))
    torch.testing.assert_close(sigma[inside < 0], gone)
    # a crop changes the unit box, so that places there are rounded again: 1e-7 of features that vary by 1 in 1/32
    torch.testing.assert_close(sigma[inside > 0], was[inside > 0], atol=1e-4, rtol=1e-4)
    appearances = result.field.volume.appearance(features), model.field.volume.appearance(before)
    torch.testing.assert_close(*appearances, atol=1e-4, rtol=1e-4)
    directions = torch.nn.functional.normalize(points, dim=-1)
    # the head itself, op by op: a field that is not edited is asked tile by tile, which rounds otherwise
    want = model.field.volume.color(features[:, :-1], directions)
    assert torch.equal(result.field.color(features, directions), want)


def near_faces(box, generator):
    """Points 1e-4 on both sides of each face, input coordinates, float64."""
    low, high = torch.tensor(box, dtype=torch.float64).view(2, 3)
    for axis in range(3):
        for face in (low, high):
            for side in (-1e-4, 1e-4):
                points = low + (high - low) * torch.rand(100, 3, generator=generator, dtype=torch.float64)
                points[:, axis] = face[axis] + side
                yield points


@torch.no_grad()
def test_without_a_crop_what_stays_stays_to_the_bit(generator):
    model = opened(some_field(generator), turned())
    result = edited(model, Edits(erase=HOLES))
    points = torch.rand(5000, 3, generator=generator)
    kept = torch.stack([-depth(inputs(points, turned()), hole) for hole in HOLES]).amin(0) > EDGE
    assert 100 < int(kept.sum()) < 4900
    got, features = result.field.density(points[kept])
    before = model.field.architecture.features(model.field.space.unit(points[kept]))  # op by op, as an edited field is
    assert torch.equal(got, model.field.volume.density(before))
    assert torch.equal(features[:, :-1], before)


def test_the_model_that_was_given_is_left_as_it_was(generator):
    model = opened(some_field(generator), turned())
    points = torch.rand(1000, 3, generator=generator)
    before = {name: value.clone() for name, value in model.field.state_dict().items()}
    bits, box, sigma = model.grid.bits.clone(), model.field.space.box.clone(), model.field.density(points)[0]
    result = edited(model, Edits(CROP, HOLES, 0.1))
    assert result.field.architecture is not model.field.architecture
    assert uncut(result.field.head) is model.field.head
    assert not result.field.training
    assert not model.field.training
    after = model.field.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert torch.equal(model.grid.bits, bits)
    assert torch.equal(model.field.space.box, box)
    assert torch.equal(model.field.density(points)[0], sigma)
    assert model.header.box == UNIT_BOX.tolist()


def test_nothing_to_do_gives_the_model_itself(generator):
    model = opened(some_field(generator), turned())
    assert not Edits()
    assert edited(model, Edits()) is model
    assert Edits(min_density=1.0)
    assert Edits(erase=HOLES)
    assert str(Edits((0, 0, 0, 1, 1, 1.5), min_density=2)) == "--crop 0 0 0 1 1 1.5 --min-density 2"


def samples(count):
    """A lattice in the unit cube that reaches its faces, (count^3, 3) float64."""
    axis = torch.linspace(0, 1, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis, axis)


@pytest.mark.parametrize("cascades", [1, 2])
def test_cells_stay_exactly_where_something_stays(cascades, generator):
    reach = 0.5 * 2.0 ** (cascades - 1)
    box = torch.tensor([[0.5 - reach] * 3, [0.5 + reach] * 3])
    transform = turned(0.4 * reach * 2)
    result = edited(opened(some_field(generator, box), transform), Edits(CROP, HOLES))
    assert len(result.grid.bits) == cascades
    lattice = samples(4)
    spacing = math.sqrt(3) / 2 / G / 3 / 0.4  # from any point of a widest cell to the lattice, input units
    for cascade, cells in enumerate(unpack(result.grid.bits)):
        index = torch.arange(G**3)
        low = (torch.stack([index % G, index // G % G, index // G**2], -1) / G - 0.5) * 2.0**cascade + 0.5
        points = inputs((low[:, None] + lattice * 2.0**cascade / G).view(-1, 3), transform)
        inside = kept_depth(points).view(-1, len(lattice))
        assert bool(cells[(inside > EDGE).any(-1)].all())  # none is lost
        removed = torch.stack([-depth(points, CROP), *(depth(points, hole) for hole in HOLES)])
        deep = (removed.view(len(HOLES) + 1, -1, len(lattice)) > spacing).all(-1).any(0)
        assert int(deep.sum()) > 500
        assert not bool(cells[deep].any())  # none is kept for nothing


def test_two_boxes_side_by_side_clear_the_cells_that_both_share(generator):
    model = opened(some_field(generator), torch.eye(4).double())
    result = edited(model, Edits(erase=((0, 0, 0, 0.51, 1, 1), (0.51, 0, 0, 0.75, 1, 1))))
    want = torch.zeros(G, G, G, dtype=torch.bool)
    want[:, :, 24:] = True
    assert torch.equal(unpack(result.grid.bits)[0], want.flatten())


@pytest.mark.parametrize("scale", [0.3, 1 / 3, 0.45, 0.7])
def test_cells_that_a_box_only_touches_are_not_in_it(scale):
    transform = torch.diag(torch.tensor([scale, scale, scale, 1.0], dtype=torch.float64))  # faces on no round numbers
    transform[:3, 3] = 0.1
    cells = (torch.cartesian_prod(*[torch.arange(G)] * 3).double() + 0.5) / G
    half = torch.full((3,), 0.5 / G, dtype=torch.float64)
    for first in range(3, 14):
        box = (torch.tensor([[first] * 3, [first + 9] * 3], dtype=torch.float64) / G - 0.1) / scale
        met = meets(cells, half, box, transform).view(G, G, G)
        assert int(met.sum()) == 9**3
        assert bool(met[first : first + 9, first : first + 9, first : first + 9].all())


def test_boxes_that_are_apart_only_along_a_line_across_two_edges():
    # a cube stood on its edge (about z), and a box turned onto its own edge (about x): nearest at a point of two edges
    turn = torch.eye(4, dtype=torch.float64)
    turn[1:3, 1:3] = math.sqrt(0.5) * torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    spun = torch.eye(4, dtype=torch.float64)
    spun[:2, :2] = math.sqrt(0.5) * torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    transform = spun.T @ turn  # in the cube's own axes
    box = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    half = torch.ones(3, dtype=torch.float64)
    for gap, want in ((2 * math.sqrt(2) + 1e-3, False), (2 * math.sqrt(2) - 1e-3, True)):
        center = spun[:3, :3].T @ torch.tensor([0.0, gap, 0.0], dtype=torch.float64)
        assert bool(meets(center[None], half, box, transform)) is want


def test_a_box_less_a_hole_is_made_of_its_parts(generator):
    box = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    points = torch.rand(2000, 3, generator=generator)
    for _ in range(20):
        corners = torch.rand(2, 3, generator=generator) * 1.6 - 0.3
        hole = torch.stack([corners.amin(0), corners.amax(0)])
        parts = without(box, hole)
        count = sum(((points > part[0]) & (points < part[1])).all(-1).int() for part in parts)
        assert torch.equal(count == 1, ~((points > hole[0]) & (points < hole[1])).all(-1))
    assert without(box, torch.tensor([[-1.0, -1, -1], [2, 2, 2]])) == []
    assert len(without(box, torch.tensor([[0.4, 0.4, 0.4], [0.6, 0.6, 0.6]]))) == 6


def test_a_picture_is_empty_where_it_was_cut_and_as_before_where_it_was_not():
    field = block_field()
    model = replace(opened(field, TRANSFORM, block_bits()), renderer=Renderer(1 / 1024))
    low, high = block_bounds()
    cut = float(low[0] + high[0]) / 2 + 0.01  # scene x, in the middle of a cell
    hole = torch.tensor([[-0.1, -0.1, -0.1], [cut, 1.1, 1.1]])
    ends = inputs(hole, TRANSFORM)
    erase = tuple(torch.cat([ends.amin(0), ends.amax(0)]).tolist())
    kept, removed = torch.stack([low, high]), torch.stack([low, high])
    kept[0, 0] = removed[1, 0] = cut
    for azimuth in (0.5, 2.5, 4.0):
        view = camera((64, 48), azimuth=azimuth)
        rays = view.rays()
        (enter, leave), (first, last) = (cross_box(rays.origins, rays.directions, b) for b in (kept, removed))
        was, got = model.image(view).pixels, edited(model, Edits(erase=(erase,))).image(view).pixels
        misses = ((last <= first) & (leave > enter)).view(48, 64)
        behind = ((last > first) & (leave <= enter)).view(48, 64)
        solid = (leave - enter > 40 / BLOCK_SIGMA).view(48, 64)
        assert min(int(v.sum()) for v in (misses, behind, solid)) > 40
        for one, other in ((was.rgb, got.rgb), (was.opacity, got.opacity), (was.depth, got.depth)):
            # a cut field is asked op by op, in bf16 on some processors; an uncut one tile by tile, in float32
            torch.testing.assert_close(one[misses], other[misses], atol=5e-3, rtol=0)
        assert float(was.opacity[behind].amax()) > 0.99
        assert float(got.opacity[behind].amax()) < 1e-9  # exp(GONE) times the length of the block
        assert float(got.opacity[solid].amin()) > 0.999


def test_a_crop_shrinks_the_box_and_the_cascades_it_needs(generator):
    box = torch.tensor([[-1.0, -0.5, 0.0], [2.0, 1.5, 1.0]])
    model = opened(some_field(generator, box), torch.eye(4).double())
    for crop, count in (((0.1, 0.2, -5.0, 0.7, 0.8, 5.0), 1), ((-0.2, 0.2, 0.3, 0.9, 1.2, 0.7), 2)):
        result = edited(model, Edits(crop))
        want = torch.stack(
            [torch.maximum(box[0], torch.tensor(crop[:3])), torch.minimum(box[1], torch.tensor(crop[3:]))]
        )
        for found in (result.grid.box, result.field.space.box, torch.tensor(result.header.box)):
            assert torch.equal(found, want)
        assert len(result.grid.bits) == count == cascades_for(want)
        points = want[0] + (want[1] - want[0]) * torch.rand(2000, 3, generator=generator)
        assert bool(result.grid.contains(points).all())


def test_a_turned_crop_is_bounded_in_scene_units(generator):
    result = edited(opened(some_field(generator), turned()), Edits(CROP))
    ends = torch.cartesian_prod(*(torch.tensor([CROP[n], CROP[n + 3]], dtype=torch.float64) for n in range(3)))
    scene = (ends @ turned()[:3, :3].T + turned()[:3, 3]).float()
    want = torch.stack([scene.amin(0).clamp(min=0), scene.amax(0).clamp(max=1)])
    torch.testing.assert_close(result.grid.box, want)
    assert bool((want != UNIT_BOX).any())


def test_a_threshold_keeps_what_is_dense_and_the_cells_that_hold_it():
    model = ruled(slope)
    result = edited(model, Edits(min_density=1.0))  # from x = 1/2 on, where a cell begins
    cells = unpack(result.grid.bits).view(G, G, G)
    assert bool(cells[:, :, G // 2 :].all())
    assert not bool(cells[:, :, : G // 2].any())
    sigma = result.field.density(torch.tensor([[0.499, 0.2, 0.3], [0.501, 0.2, 0.3]]))[0]
    torch.testing.assert_close(sigma, torch.tensor([math.exp(GONE), math.exp(20 * 0.001)]), rtol=1e-5, atol=0)
    inside = edited(model, Edits(min_density=math.exp(20 * 0.25 / G)))  # a quarter into that cell: part of it stays
    assert bool(unpack(inside.grid.bits).view(G, G, G)[:, :, G // 2].all())
    again = edited(model, Edits(min_density=1.0))
    assert torch.equal(again.grid.bits, result.grid.bits)


def test_a_threshold_beside_a_crop_asks_only_inside():
    # the crop ends within cells that reach past x = 0.77, where the threshold begins
    with pytest.raises(ValueError, match=r"nothing of the model is left; the densest .* has 1[78]"):
        edited(ruled(slope), Edits((0.0, 0.0, 0.0, 0.76, 1.0, 1.0), min_density=math.exp(20 * 0.27)))


def test_coarse_cells_stay_where_finer_ones_do():
    # a sheet that fills one octant's width of a fine cell, and little more: most points of coarse cells miss it
    begin, box = 0.5 + 3 / G, torch.tensor([[-0.5, -0.5, -0.5], [1.5, 1.5, 1.5]])
    end = begin + 0.52 / G
    model = ruled(lambda x: 10.0 * ((x[:, 0] * 2 - 0.5 > begin) & (x[:, 0] * 2 - 0.5 < end)), box)
    cells = unpack(edited(model, Edits(min_density=10.0)).grid.bits)
    want = torch.zeros(G, G, G, dtype=torch.bool)
    want[:, :, G // 2 + 3] = True
    assert torch.equal(cells[0], want.flatten())
    assert torch.equal(coarsen(cells, G), cells)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": (0.0, 1.0)}, "--crop wants six numbers x0 y0 z0 x1 y1 z1, found 2"),
        ({"crop": (0, 0, 0, 1, 0, 1)}, "--crop wants six numbers .* with x0 < x1, .*; found 0 0 0 1 0 1"),
        ({"erase": (CROP, (0, 0, 0, 1, math.nan, 1))}, "--erase wants six numbers .* all finite; found 0 0 0 1 nan 1"),
        ({"min_density": -1.0}, "--min-density must be 0 or more per scene unit, found -1"),
        ({"min_density": math.inf}, "--min-density must be 0 or more"),
    ],
)
def test_flags_out_of_range_are_named(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        Edits(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (
            Edits((4, 4, 4, 5, 5, 5)),
            "--crop 4 4 4 5 5 5 lies outside the model's box, which is .* in input coordinates",
        ),
        (Edits(erase=(HOLES[0], (-9, 0, 0, -8, 1, 1))), "--erase -9 0 0 -8 1 1 lies outside the model's box"),
        (Edits(erase=((-9, -9, -9, 9, 9, 9),)), "--erase -9 -9 -9 9 9 9: nothing of the model is left$"),
        (Edits(CROP, (CROP,)), "nothing of the model is left$"),
        (Edits(CROP, (CROP,), 1.0), "--min-density 1: nothing of the model is left$"),
        (
            Edits(min_density=1e9),
            r"--min-density 1e\+09: nothing .* left; the densest point that was found has 0\.\d+ ",
        ),
    ],
)
def test_edits_that_do_nothing_or_leave_nothing_are_refused(edits, message, generator):
    with pytest.raises(ValueError, match=message) as error:
        edited(opened(some_field(generator), turned()), edits)
    assert "\n" not in str(error.value)


def test_the_box_that_is_told_is_that_of_input_coordinates():
    with pytest.raises(ValueError, match=r"which is -1\.6 -2 -1\.2 to 2\.4 2 2\.8 in input"):
        edited(opened(block_field(), TRANSFORM), Edits((9, 9, 9, 10, 10, 10)))


def test_an_empty_teacher_has_nothing_to_teach(generator):
    model = opened(some_field(generator), turned())
    require_something(model, Path("a.safetensors"))
    empty = replace(model, grid=replace(model.grid, bits=torch.zeros_like(model.grid.bits)))
    with pytest.raises(ModelError, match=r"^a\.safetensors: its occupancy is empty: nothing to learn from$"):
        require_something(empty, Path("a.safetensors"))
    with pytest.raises(ValueError, match="nothing of the model is left"):
        edited(empty, Edits(CROP))


@pytest.mark.parametrize("cascades", [1, 2])
def test_cells_that_were_empty_stay_so(cascades, generator):
    box = torch.tensor([[0.0] * 3, [cascades / 2 + 0.5] * 3])
    bits = pack(torch.rand(cascades, G**3, generator=generator) < 0.3)
    result = edited(opened(some_field(generator, box), turned(), bits), Edits(erase=HOLES, min_density=1e-3))
    assert not bool((result.grid.bits & ~bits).any())
    assert bool(result.grid.bits.any(-1).all())


def quarter(box):
    """A box (6 numbers) turned by 90 degrees about +Z through its middle."""
    (x0, y0, z0), (x1, y1, z1) = box[:3], box[3:]
    mx, my, half_x, half_y = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    return (mx - half_y, my - half_x, z0, mx + half_y, my + half_x, z1)


@torch.no_grad()
def test_a_crop_turned_by_a_quarter_is_the_box_with_its_sides_swapped(generator):
    model = opened(some_field(generator), turned())
    one, other = edited(model, Edits(CROP, HOLES, crop_turn=90.0)), edited(model, Edits(quarter(CROP), HOLES))
    torch.testing.assert_close(one.grid.box, other.grid.box, atol=1e-6, rtol=0)
    cells, fewer = unpack(one.grid.bits), unpack(other.grid.bits)
    assert bool(cells[fewer].all())
    assert int(cells.sum()) < 1.05 * int(fewer.sum())  # a hole's edge and the crop's may leave a cell nothing together
    low, high = other.grid.box
    points = low + (high - low) * torch.rand(5000, 3, generator=generator)
    depths = torch.stack([depth(inputs(points, turned()), box) for box in (quarter(CROP), *HOLES)])
    clear = depths.abs().amin(0) > EDGE
    torch.testing.assert_close(
        one.field.density(points[clear])[0], other.field.density(points[clear])[0], atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_a_crop_across_the_axes_keeps_what_lies_in_it(generator):
    """By its own formula: a point is turned back about the middle, and compared with the box."""
    model, angle = opened(some_field(generator), turned()), math.radians(37)
    result = edited(model, Edits(CROP, HOLES, crop_turn=37.0))
    points = torch.rand(20_000, 3, generator=generator)
    place, middle = inputs(points, turned()), (torch.tensor(CROP[:3]) + torch.tensor(CROP[3:])).double() / 2
    dx, dy = (place - middle)[:, 0], (place - middle)[:, 1]
    back = torch.stack([math.cos(angle) * dx + math.sin(angle) * dy, math.cos(angle) * dy - math.sin(angle) * dx], -1)
    own = torch.cat([middle[:2] + back, place[:, 2:]], -1)
    inside = torch.stack([depth(own, CROP), *(-depth(place, hole) for hole in HOLES)]).amin(0)
    in_box = ((points >= result.grid.box[0]) & (points <= result.grid.box[1])).all(-1)
    assert not bool((~in_box & (inside > EDGE)).any())
    sure, sigma = in_box & (inside.abs() > EDGE), result.field.density(points)[0]
    assert min(int((sure & (inside > 0)).sum()), int((sure & (inside < 0)).sum())) > 300
    torch.testing.assert_close(sigma[sure & (inside < 0)], torch.full_like(sigma[sure & (inside < 0)], math.exp(GONE)))
    was = model.field.density(points)[0]
    torch.testing.assert_close(sigma[sure & (inside > 0)], was[sure & (inside > 0)], atol=1e-4, rtol=1e-4)
    stays = (inside > EDGE) & model.grid.contains(points)
    assert bool(result.grid.contains(points[stays]).all())
    straight = unpack(edited(model, Edits(CROP, HOLES)).grid.bits).sum()
    assert 0.5 * straight < unpack(result.grid.bits).sum() < 1.5 * straight


def test_a_turn_wants_a_crop_and_is_spelled():
    assert str(Edits((0, 0, 0, 1, 1, 1), crop_turn=30)) == "--crop 0 0 0 1 1 1 --crop-turn 30"
    for wrong in ({"crop_turn": 10.0}, {"crop": (0, 0, 0, 1, 1, 1), "crop_turn": math.nan}):
        with pytest.raises(ValueError, match="--crop-turn wants"):
            Edits(**wrong)
