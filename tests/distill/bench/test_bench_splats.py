"""Splats of a peer's file: read as they are written, drawn as their sum says."""

import pytest
import torch

from distill.bench.splats import NAMES, Splats, draw_splats, read_splats
from fields.encodings import spherical_harmonics
from render.camera import Camera, Intrinsics
from render.quaternions import to_matrices

CAMERA = Camera(torch.eye(4), Intrinsics(30.0, 28.0, 17.5, 12.0), (37, 23))  # looks along -z
BACKGROUND = torch.tensor([0.2, 0.4, 0.9])
LAST = [name for part in ("opacities", "scales", "turns") for name in NAMES[part]]
WRITTEN = [*NAMES["positions"], "nx", "ny", "nz", *NAMES["base"], *NAMES["rest"], *LAST]


def scatter(count, generator):
    """Splats before the camera, some behind it, in any order."""
    place = torch.rand(count, 3, generator=generator) * torch.tensor([3.0, 2.0, 4.0]) - torch.tensor([1.5, 1.0, 3.5])
    turns = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1)
    scales = torch.rand(count, 3, generator=generator) * 0.3 + 0.01
    harmonics = torch.randn(count, 3, 16, generator=generator) * 0.3
    return Splats(place, harmonics, torch.rand(count, generator=generator), scales, turns)


def draw_plainly(splats, camera, background):
    """Pixel by pixel in float64, a splat after the other, all of each."""
    pose, lens, (width, height) = camera.pose.double(), camera.intrinsics, camera.size
    down = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)) @ pose[:3, :3].T
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    light, picture = torch.ones(height, width).double(), torch.zeros(height, width, 3).double()
    place = (splats.positions.double() - pose[:3, 3]) @ down.T
    for m in place[:, 2].argsort().tolist():
        x, y, z = place[m].tolist()
        if z <= 1e-3:
            continue
        wide, high = 1.3 * width / 2 / lens.fx, 1.3 * height / 2 / lens.fy
        u, v = max(-wide, min(wide, x / z)), max(-high, min(high, y / z))
        slopes = torch.tensor([[lens.fx / z, 0, -lens.fx * u / z], [0, lens.fy / z, -lens.fy * v / z]]).double()
        turned = to_matrices(splats.turns[m : m + 1])[0]
        whole = turned @ torch.diag(splats.scales[m].double() ** 2) @ turned.T
        spread = slopes @ down @ whole @ down.T @ slopes.T + 0.3 * torch.eye(2)
        away = torch.stack([columns - lens.fx * x / z - lens.cx, rows - lens.fy * y / z - lens.cy], -1).double()
        power = (away @ torch.linalg.inv(spread) * away).sum(-1) / 2
        alpha = (splats.opacities[m].double() * torch.exp(-power)).clamp(max=0.999)
        alpha = torch.where((alpha < 1 / 255) | (light <= 1e-4), 0.0, alpha)
        toward = torch.nn.functional.normalize(splats.positions[m] - camera.pose[:3, 3], dim=-1)
        color = (splats.harmonics[m] @ spherical_harmonics(toward[None])[0] + 0.5).clamp(min=0).double()
        picture += (light * alpha)[..., None] * color
        light = light * (1 - alpha)
    return (picture + light[..., None] * background).clamp(max=1)


def write(path, splats):
    """As 3D Gaussian splatting's program does."""
    parts = {
        "positions": splats.positions,
        "base": splats.harmonics[:, :, 0],
        "rest": splats.harmonics[:, :, 1:].flatten(1),
        "opacities": torch.logit(splats.opacities)[:, None],
        "scales": splats.scales.log(),
        "turns": splats.turns,
    }
    named = {name: parts[part][:, n] for part, names in NAMES.items() for n, name in enumerate(names)}
    table = torch.stack([named.get(name, torch.zeros(len(splats.positions))) for name in WRITTEN], -1)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    lines += [f"property float {name}" for name in WRITTEN]
    path.write_bytes("\n".join([*lines, "end_header", ""]).encode() + table.numpy().astype("<f4").tobytes())


@pytest.mark.parametrize("count", [0, 1, 7, 60])
def test_a_picture_is_the_blend_of_its_splats(count, generator):
    splats = scatter(count, generator)
    got, want = draw_splats(splats, CAMERA, BACKGROUND), draw_plainly(splats, CAMERA, BACKGROUND)
    off = (got - want).abs()
    assert got.shape == (23, 37, 3)
    # what lies past three deviations is left out, up to exp(-9/2) of a splat's opacity
    assert off.max() < 0.02 * max(count, 1) ** 0.5
    assert off.mean() < 2e-3


def test_the_picture_does_not_depend_on_the_order(generator):
    splats, turn = scatter(40, generator), torch.randperm(40, generator=generator)
    values = (splats.positions, splats.harmonics, splats.opacities, splats.scales, splats.turns)
    shuffled = Splats(*(value[turn] for value in values))
    assert torch.equal(draw_splats(splats, CAMERA, BACKGROUND), draw_splats(shuffled, CAMERA, BACKGROUND))


def test_a_solid_splat_hides_what_is_behind_it():
    flat = torch.zeros(2, 3, 16)
    flat[:, :, 0] = (torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) - 0.5) / 0.28209479177387814
    place, turns = torch.tensor([[0.0, 0.0, -2.0], [0.0, 0.0, -1.0]]), torch.tensor([[1.0, 0, 0, 0]] * 2)
    splats = Splats(place, flat, torch.full((2,), 0.9999), torch.full((2, 3), 0.5), turns)
    middle = draw_splats(splats, CAMERA, BACKGROUND)[12, 17]
    assert middle.tolist() == pytest.approx([0.001, 0.999, 0.0], abs=2e-3)


def test_a_file_comes_back(tmp_path, generator):
    splats = scatter(9, generator)
    write(tmp_path / "s.ply", splats)
    again = read_splats(tmp_path / "s.ply")
    for name in ("positions", "harmonics", "opacities", "scales", "turns"):
        torch.testing.assert_close(getattr(again, name), getattr(splats, name))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:-4], "ends too early"),
        (lambda data: data.replace(b"f_rest_44", b"f_rest_xx"), "has no 'f_rest_44'"),
        (lambda data: data.replace(b"binary_little", b"ascii"), "wanted a binary PLY"),
        (lambda data: b"", "wanted a binary PLY"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, generator, spoil, told):
    path = tmp_path / "s.ply"
    write(path, scatter(3, generator))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=told):
        read_splats(path)


def test_a_lens_that_is_no_pinhole_is_refused(generator):
    bent = Camera(torch.eye(4), Intrinsics(30.0, 30.0, 8.0, 8.0, radial=(0.1, 0.0, 0.0, 0.0)), (16, 16))
    with pytest.raises(ValueError, match="pinhole"):
        draw_splats(scatter(2, generator), bent, BACKGROUND)
