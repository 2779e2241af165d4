import pytest
import torch

from render.camera import Camera, Intrinsics, look_at, project, unfolded

SIZE = (64, 48)
POSE = look_at(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))


@pytest.mark.parametrize(
    "lens",
    [
        Intrinsics(60, 62, 32, 24),
        Intrinsics(60, 62, 30, 25, "opencv", (0.06, -0.08, 0.01, 0.0), (-0.001, 0.0002)),
        Intrinsics(24, 24, 32, 24, "fisheye", (0.05, -0.01, 0.0, 0.0)),
    ],
    ids=["pinhole", "distorted", "fisheye"],
)
def test_points_on_a_pixels_ray_project_to_its_centre(lens):
    camera = Camera(POSE, lens, SIZE)
    rays = camera.rays()
    pixels, depth = project(camera, rays.origins + 2.5 * rays.directions)
    rows, columns = torch.meshgrid(torch.arange(SIZE[1]), torch.arange(SIZE[0]), indexing="ij")
    wanted = torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5
    torch.testing.assert_close(pixels, wanted, atol=1e-3, rtol=0)  # pixels, from float32 world coordinates
    torch.testing.assert_close(depth, 2.5 * rays.directions @ -POSE[:3, 2], atol=1e-5, rtol=0)


def test_what_a_lens_cannot_show_is_nan():
    behind = POSE[:3, 3] + POSE[:3, 2]
    aside = POSE[:3, 3] - POSE[:3, 2] + 3 * POSE[:3, 0]
    folding = Intrinsics(60, 60, 32, 24, "opencv", (-0.3, 0.0, 0.0, 0.0))
    assert unfolded(folding) == pytest.approx((1 / 0.9) ** 0.5, abs=0.01)
    pixels, _ = project(Camera(POSE, folding, SIZE), torch.stack([behind, aside]))
    assert pixels.isnan().all()
    pixels, _ = project(Camera(POSE, Intrinsics(60, 60, 32, 24), SIZE), torch.stack([behind, aside]))
    assert pixels.isnan().tolist() == [[True, True], [False, False]]
