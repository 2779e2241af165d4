import dataclasses
import json

import drawn
import torch

from render.camera import Camera, Intrinsics
from scenes import checks
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.scene import View


def views(count=12):
    lens = Intrinsics(60, 60, 24, 16)
    valid = torch.ones(32, 48, dtype=torch.bool)
    return [
        View(Camera(pose, lens, (48, 32)), drawn.picture(pose, lens, (48, 32), opaque=True), valid, f"{i}.png")
        for i, pose in enumerate(drawn.ring(count))
    ]


def noisy(count):
    """The views with a picture of noise each, so that all are about as sharp."""
    generator = torch.Generator().manual_seed(0)
    return [
        dataclasses.replace(view, image=torch.randint(0, 256, (32, 48, 4), dtype=torch.uint8, generator=generator) | 1)
        for view in views(count)
    ]


def test_a_blurred_picture_is_named():
    every = noisy(12)
    soft = torch.nn.functional.avg_pool2d(every[5].image.permute(2, 0, 1).float(), 5, 1, 2).permute(1, 2, 0)
    every[5] = dataclasses.replace(every[5], image=soft.to(torch.uint8).contiguous())
    assert checks.blurred(every) == ["5.png"]


def test_sharp_sets_and_small_ones_name_nothing():
    assert checks.blurred(noisy(12)) == []
    assert checks.blurred(noisy(3)) == []


def test_equal_poses_and_equal_pictures_are_duplicates():
    every = views()
    assert checks.duplicates(every) == []
    every.append(dataclasses.replace(every[2], image=every[2].image.flip(0), name="pose.png"))
    every.append(dataclasses.replace(every[7], camera=Camera(torch.eye(4), *lens_and_size(every[7])), name="copy.png"))
    assert checks.duplicates(every) == [["2.png", "pose.png"], ["7.png", "copy.png"]]


def lens_and_size(view):
    return view.camera.intrinsics, view.camera.size


def test_a_camera_turned_on_the_spot_is_no_duplicate():
    every = views(2)
    turned = every[0].camera.pose.clone()
    turned[:3, :2] = turned[:3, :2].flip(1) * torch.tensor([1.0, -1.0])  # a quarter turn about the axis
    other = dataclasses.replace(every[1], camera=Camera(turned, *lens_and_size(every[1])), image=every[1].image.flip(1))
    assert checks.duplicates([every[0], other]) == []


def test_a_report_is_plain_json(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), ReadOptions())
    report = checks.examine(scene, "blender", "train-scene x")
    values = json.loads(json.dumps(dataclasses.asdict(report), allow_nan=False))
    assert values["train"] == 10
    assert values["transparent"] is True
    assert values["sizes"] == [[48, 48]]
    assert values["lens_count"] == 1
    assert values["picture_bytes"] == 13 * 48 * 48 * 4
    assert values["cameras_inside"] == []
    assert 0 < values["rays_box"] <= values["rays_core"] <= 1
    corners = torch.tensor(values["box_input"])
    assert (corners[0] < torch.tensor(drawn.LOW)).all()
    assert (corners[1] > torch.tensor(drawn.HIGH)).all()


def test_cameras_inside_the_core_are_named(tmp_path):
    poses = drawn.ring(12)
    poses[3][:3, 3] = torch.tensor([0.1, 0.1, 0.3])
    drawn.transforms(tmp_path, poses)
    report = checks.examine(load(str(tmp_path), ReadOptions()), "transforms", "")
    assert report.cameras_inside == ["images/003.png"]
