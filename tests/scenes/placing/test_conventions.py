"""Poses that are written otherwise than they say."""

import drawn
import pytest
import torch

from render.camera import Intrinsics
from scenes.assemble import load
from scenes.options import CONVENTIONS, ReadOptions, SceneError
from scenes.placing.box import Unplaced
from scenes.placing.conventions import describe, suspect, turned

# What a file holds of a camera at (1, 2, 3) that looks along +Y, +Z up: right is +X, up +Z, back -Y.
RIGHT, UP, BACK, PLACE = [1.0, 0, 0], [0.0, 0, 1], [0.0, -1, 0], [1.0, 2, 3]
COLUMNS = {
    "opengl": (RIGHT, UP, BACK),
    "opencv": (RIGHT, [0.0, 0, -1], [0.0, 1, 0]),
    "llff": ([0.0, 0, -1], RIGHT, BACK),
    "pytorch3d": ([-1.0, 0, 0], UP, [0.0, 1, 0]),
}


def written(convention):
    axes = convention.removeprefix("w2c-")
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = torch.tensor([*COLUMNS[axes], PLACE], dtype=torch.float64).T
    return torch.linalg.inv(pose) if axes != convention else pose


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_says_the_same_camera(convention):
    torch.testing.assert_close(turned(written(convention), convention), written("opengl"))


def rewrite(pose, convention):
    """An OpenGL camera-to-world pose (4, 4) in a convention."""
    axes = convention.removeprefix("w2c-")
    to = torch.linalg.inv(written("opengl")[:3, :3]) @ written(axes)[:3, :3]
    result = pose.double().clone()
    result[:3, :3] = result[:3, :3] @ to
    return torch.linalg.inv(result) if axes != convention else result


@pytest.fixture(scope="module")
def still_life():
    return load("builtin:96", ReadOptions())


@pytest.mark.parametrize("opaque", [False, True], ids=["cut out", "opaque"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_pictures_tell_the_convention(still_life, convention, opaque):
    shots = []
    for view in still_life.train:
        image = view.image.clone()
        if opaque:
            image[image[..., 3] == 0] = 255
            image[..., 3] = 255
        pose = rewrite(view.camera.pose, convention)
        shots.append(Unplaced(view.name, pose, view.camera.intrinsics, image, view.valid))
    found = suspect(shots, transparent=not opaque)
    assert (found[0] if found else "opengl") == convention


@pytest.mark.parametrize("convention", ["opencv", "w2c-opengl", "w2c-opencv"])
def test_silhouettes_tell_where_there_is_no_texture(convention):
    lens, valid, shots = Intrinsics(90, 90, 30, 30), torch.ones(60, 60, dtype=torch.bool), []
    for i, pose in enumerate(drawn.ring(24, lowest=-2.0)):
        image = drawn.picture(pose, lens, (60, 60))
        image[..., :3] = 200
        shots.append(Unplaced(f"{i}", rewrite(pose, convention), lens, image, valid))
    found = suspect(shots, transparent=True)
    assert found is not None
    assert found[0] == convention


def write(folder, scene, convention):
    frames = []
    for view in scene.train:
        drawn.save(folder / "images" / f"{view.name}.png", view.image)
        pose = rewrite(view.camera.pose, convention).tolist()
        frames.append({"file_path": f"images/{view.name}.png", "transform_matrix": pose})
    lens = scene.train[0].camera.intrinsics
    drawn.write(folder / "transforms.json", {"fl_x": lens.fx, "fl_y": lens.fy, "frames": frames})


def test_a_data_set_of_another_convention_is_refused_and_read_with_the_flag(still_life, tmp_path):
    write(tmp_path / "plain", still_life, "opengl")
    write(tmp_path / "other", still_life, "w2c-opencv")
    usual = load(str(tmp_path / "plain"), ReadOptions())
    with pytest.raises(
        SceneError, match=r"other/transforms\.json: its poses seem to be world-to-camera .* OpenCV"
    ) as told:
        load(str(tmp_path / "other"), ReadOptions())
    assert "--poses w2c-opencv reads them so, --poses opengl as they are" in str(told.value)
    found = load(str(tmp_path / "other"), ReadOptions(poses="w2c-opencv"))
    torch.testing.assert_close(found.box, usual.box, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.train[3].camera.pose, usual.train[3].camera.pose, atol=1e-3, rtol=0)
    assert f"poses: read as {describe('w2c-opencv')}, as --poses says" in [fact.text for fact in found.facts]
    as_it_is = load(str(tmp_path / "other"), ReadOptions(poses="opengl"))
    assert len(as_it_is.train) == len(usual.train)
