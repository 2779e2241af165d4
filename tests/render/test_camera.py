"""Cameras: axes, pixel centres, lenses, records."""

import json
import math

import pytest
import torch

from render.camera import Camera, CameraBank, Intrinsics, distort, look_at, moved, project, shown, undistort

UP = torch.tensor([0.0, 0.0, 1.0])
PINHOLE = Intrinsics(60, 62, 30, 25)
DISTORTED = Intrinsics(60, 62, 30, 25, "opencv", (0.1, -0.04, 0.02, -0.005), (0.003, -0.002))
FISHEYE = Intrinsics(24, 25, 31, 24, "fisheye", (0.05, -0.01, 0.003, -0.0004))
SIZE = (64, 48)


def axes(camera):
    return camera.rays().directions @ camera.pose[:3, :3]  # in the camera's own axes


def test_rays_go_row_by_row_through_pixel_centres():
    camera = Camera(torch.eye(4), Intrinsics(10, 20, 2, 1), (4, 3))
    rays = camera.rays()
    assert len(rays) == 12
    at = rays.directions / -rays.directions[:, 2:]
    for row in range(3):
        for column in range(4):
            want = torch.tensor([(column + 0.5 - 2) / 10, -(row + 0.5 - 1) / 20, -1.0])
            torch.testing.assert_close(at[row * 4 + column], want)
    torch.testing.assert_close(rays.directions.norm(dim=-1), torch.ones(12))
    assert bool((rays.origins == 0).all())


def test_first_pixel_is_up_left_as_the_camera_sees_it():
    camera = Camera(look_at(torch.tensor([0.0, -5.0, 0.0]), torch.zeros(3), UP), Intrinsics(50, 50, 32, 24), SIZE)
    rays = camera.rays()
    middle = rays.directions[24 * 64 + 32]  # its centre is half a pixel right of and below the axis
    torch.testing.assert_close(middle / middle[1], torch.tensor([0.01, 1.0, -0.01]))
    first = rays.directions[0]
    assert first[0] < -0.4  # looking along +Y with Z up, left is -X
    assert first[2] > 0.3
    assert torch.equal(rays.origins[7], torch.tensor([0.0, -5.0, 0.0]))


@pytest.mark.parametrize("lens", [PINHOLE, DISTORTED, FISHEYE], ids=["pinhole", "distorted", "fisheye"])
def test_project_is_the_inverse_of_rays(lens, generator):
    pose = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.2, -0.1, 0.4]), UP)
    camera = Camera(pose, lens, SIZE)
    rays = camera.rays()
    t = torch.rand(len(rays), 1, generator=generator) * 5 + 0.1
    pixels, _ = project(camera, rays.origins + t * rays.directions)
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    want = torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5
    torch.testing.assert_close(pixels, want, atol=2e-3, rtol=0)  # pixels; float32 points around 5 and focal 60


@pytest.mark.parametrize("only", range(6))
def test_undistort_inverts_distort_for_each_coefficient_and_all(only, generator):
    full = torch.tensor([0.1, -0.04, 0.02, -0.005, 0.003, -0.002], dtype=torch.float64)
    alone = torch.zeros_like(full)
    alone[only] = full[only]
    points = (torch.rand(300, 2, generator=generator, dtype=torch.float64) - 0.5) * 1.6
    for c in (full, alone):
        bent = distort(points, c.expand(300, 6))
        assert float((bent - points).abs().max()) > 1e-4
        torch.testing.assert_close(undistort(bent, c.expand(300, 6)), points, atol=1e-12, rtol=0)  # Newton in float64


def test_distort_is_opencvs_formula():
    x, y = 0.3, -0.5
    k1, k2, k3, k4, p1, p2 = 0.11, -0.07, 0.05, 0.02, 0.013, -0.017
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
    want = [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
    got = distort(torch.tensor([[x, y]]).double(), torch.tensor([[k1, k2, k3, k4, p1, p2]]).double())
    torch.testing.assert_close(got[0], torch.tensor(want).double())


def test_rays_of_a_distorted_lens_land_on_their_pixels():
    camera = Camera(torch.eye(4), DISTORTED, SIZE)
    d = axes(camera).double()
    plane = distort(torch.stack([d[:, 0], -d[:, 1]], -1) / -d[:, 2:], torch.tensor(
        [[*DISTORTED.radial, *DISTORTED.tangential]]).double().expand(len(d), 6))  # fmt: skip
    got = plane * torch.tensor([60.0, 62.0]) + torch.tensor([30.0, 25.0])
    torch.testing.assert_close(got[0].float(), torch.tensor([0.5, 0.5]), atol=1e-4, rtol=0)  # float32 directions
    torch.testing.assert_close(got[-1].float(), torch.tensor([63.5, 47.5]), atol=1e-4, rtol=0)


def test_fisheye_rays_fulfil_the_equation():
    d = axes(Camera(torch.eye(4), FISHEYE, SIZE)).double()
    theta = torch.atan2(torch.hypot(d[:, 0], d[:, 1]), -d[:, 2])
    k = FISHEYE.radial
    bent = theta * (1 + sum(k[i] * theta ** (2 * i + 2) for i in range(4)))
    rows, columns = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    x, y = (columns.flatten() + 0.5 - 31) / 24, (rows.flatten() + 0.5 - 24) / 25
    torch.testing.assert_close(bent, torch.hypot(x, y).double(), atol=1e-5, rtol=0)  # float32 directions
    assert float(theta.max()) > 1.4  # wider than a pinhole could be
    across = torch.atan2(-d[:, 1], d[:, 0]) - torch.atan2(y, x)
    assert float(across.sin().abs().max()) < 1e-5  # the lens bends along radii only


def test_fisheye_sees_behind_itself_and_its_axis_is_exact():
    wide = Camera(torch.eye(4), Intrinsics(10, 10, 20.5, 20.5, "fisheye"), (41, 41))
    d = wide.rays().directions
    assert torch.equal(d[20 * 41 + 20], torch.tensor([0.0, 0.0, -1.0]))
    torch.testing.assert_close(d[20 * 41 + 40], torch.tensor([math.sin(2.0), 0.0, -math.cos(2.0)]))  # 20 pixels / 10


def test_a_bank_mixes_lenses():
    cameras = [Camera(torch.eye(4), lens, SIZE) for lens in (PINHOLE, DISTORTED, FISHEYE)]
    bank = CameraBank.of(cameras).to(torch.device("cpu"))
    pixels = torch.tensor([[3, 40], [60, 2]])
    for i, camera in enumerate(cameras):
        got = bank.rays(torch.tensor([i, i]), pixels).directions
        assert torch.equal(got, camera.rays().directions[[40 * 64 + 3, 2 * 64 + 60]])


@pytest.mark.parametrize("lens", [PINHOLE, DISTORTED, FISHEYE], ids=["pinhole", "distorted", "fisheye"])
def test_resized_sees_the_same(lens):
    camera = Camera(look_at(torch.tensor([1.0, 2, 3]), torch.zeros(3), UP), lens, SIZE)
    half = camera.resized(32, 12)
    assert half.size == (32, 12)
    corner = camera.pose[:3, 3] + camera.rays().directions
    small, _ = project(half, corner)
    large, _ = project(camera, corner)
    torch.testing.assert_close(small, large * torch.tensor([0.5, 0.25]), atol=1e-3, rtol=0)  # pixels


@pytest.mark.parametrize("lens", [PINHOLE, DISTORTED, FISHEYE], ids=["pinhole", "distorted", "fisheye"])
def test_records_survive_json(lens):
    camera = Camera(look_at(torch.tensor([1.0, 2, 3]), torch.zeros(3), UP), lens, SIZE)
    again = Camera.from_record(json.loads(json.dumps(camera.to_record(), allow_nan=False)))
    assert torch.equal(again.pose, camera.pose)
    assert (again.intrinsics, again.size) == (lens, SIZE)


DAMAGED = [
    ("pose", [[1, 2], [3]]),
    ("pose", [[0.0] * 4] * 3),
    ("pose", [[float("inf")] * 4] * 4),
    ("pose", [[10**400] * 4] * 4),
    ("pose", {"a": 1}),
    ("size", [float("inf"), 2]),
    ("size", [0, 2]),
    ("size", [1 << 30, 2]),
    ("size", [1.5, 2]),
    ("size", "64"),
    ("focal", [1.0]),
    ("focal", ["a", "b"]),
    ("focal", [0.0, 1.0]),
    ("focal", [10**400, 1]),
    ("center", [float("nan"), 0]),
    ("radial", None),
    ("model", "orthographic"),
    ("tangential", [0, 0, 0]),
    ("tangential", [1e300, 0]),
    ("radial", [1e7, 0, 0, 0]),
    ("focal", [1e-300, 1.0]),
    ("focal", [1.0, 1e8]),
    ("center", [1e6, 0]),
    ("pose", torch.diag(torch.tensor([2.0, 2, 2, 1])).tolist()),
    ("pose", [[1, 0, 0, 1e200], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ("size", [True, 2]),
    ("size", [60000, 60000]),
]


@pytest.mark.parametrize(("key", "value"), DAMAGED)
def test_damaged_records_are_refused(key, value):
    record = Camera(torch.eye(4), PINHOLE, SIZE).to_record()
    with pytest.raises(ValueError, match="camera record is damaged") as error:
        Camera.from_record(record | {key: value})
    assert "\n" not in str(error.value)
    del record[key]
    with pytest.raises(ValueError, match=f"camera record is damaged: '{key}'"):
        Camera.from_record(record)


def test_intrinsics_errors():
    with pytest.raises(ValueError, match=r"focal length must be > 0 pixels, found fx=-3 fy=5"):
        Intrinsics(-3, 5, 0, 0)
    with pytest.raises(ValueError, match="must be finite numbers"):
        Intrinsics(3, 5, 0, 0, radial=(0, 0, 0, math.nan))
    with pytest.raises(ValueError, match="opencv or fisheye, found 'pinhole'"):
        Intrinsics(3, 5, 0, 0, "pinhole")  # type: ignore[arg-type]
    assert [lens.distorted for lens in (PINHOLE, DISTORTED, FISHEYE)] == [False, True, True]


def test_look_at_is_a_rotation_that_looks_along_minus_z():
    eye, target = torch.tensor([3.0, -2.0, 4.0]), torch.tensor([0.5, 1.0, -1.0])
    pose = look_at(eye, target, UP)
    turn = pose[:3, :3]
    torch.testing.assert_close(turn @ turn.T, torch.eye(3), atol=1e-6, rtol=0)  # float32
    assert float(torch.linalg.det(turn)) == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(-turn[:, 2], torch.nn.functional.normalize(target - eye, dim=0))
    assert float(turn[2, 0]) == pytest.approx(0, abs=1e-7)  # right is level
    assert turn[2, 1] > 0
    assert torch.equal(pose[:3, 3], eye)


def test_moved_maps_what_a_camera_sees(generator):
    turn = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), UP)[:3, :3].double()  # some rotation
    transform = torch.eye(4, dtype=torch.float64)
    transform[:3, :3], transform[:3, 3] = 0.3 * turn, torch.tensor([0.5, -2.0, 7.0])
    camera = Camera(look_at(torch.tensor([3.0, -2.0, 4.0]), torch.zeros(3), UP), DISTORTED, SIZE)
    there = Camera(moved(camera.pose, transform), DISTORTED, SIZE)
    torch.testing.assert_close(there.pose[:3, :3] @ there.pose[:3, :3].T, torch.eye(3), atol=1e-6, rtol=0)  # unscaled
    points = torch.rand(50, 3, generator=generator) - 0.5
    carried = (points.double() @ transform[:3, :3].T + transform[:3, 3]).float()
    pixels, depth = project(camera, points)
    got, away = project(there, carried)
    torch.testing.assert_close(got, pixels, atol=1e-3, rtol=0)  # pixels; float32 coordinates around 7
    torch.testing.assert_close(away, depth * 0.3, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "lens",
    [
        Intrinsics(40, 40, 40, 30, "opencv", (-0.15, 0.0, 0.0, 0.0)),
        Intrinsics(40, 42, 36, 33, "opencv", (-0.3, 0.08, -0.01, 0.0), (0.01, -0.02)),
        Intrinsics(25, 25, 40, 30, "fisheye", (-0.12, 0.01, 0.0, 0.0)),
        Intrinsics(12, 12, 40, 30, "fisheye"),
        Intrinsics(60, 60, 40, 30, "opencv", (0.2, 0.1, 0.0, 0.0)),
    ],
)
def test_a_pixel_is_shown_where_its_ray_comes_back_to_it(lens):
    camera = Camera(torch.eye(4), lens, (80, 60))
    rays = camera.rays()
    pixels, _ = project(camera, rays.origins + 2 * rays.directions)
    rows, columns = torch.meshgrid(torch.arange(60) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    off = (pixels - torch.stack([columns, rows], -1).reshape(-1, 2)).norm(dim=-1)
    back = (off < 0.1).view(60, 80)  # NaN: False
    assert int((shown(lens, (80, 60)) != back).sum()) <= 16  # float32 on the rim
    assert bool(back.any())


def test_a_pinhole_shows_every_pixel():
    assert bool(shown(Intrinsics(4, 4, 40, 30), (80, 60)).all())
