import json

import drawn
import torch

from scenes import checks
from scenes.assemble import load
from scenes.options import ReadOptions


def test_a_report_is_plain_json(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), ReadOptions())
    report = checks.examine(scene, "blender", "train-scene x")
    values = json.loads(json.dumps(report.to_record(), allow_nan=False))
    assert values["train"] == 10
    assert values["transparent"] is True
    assert values["sizes"] == [[48, 48]]
    assert values["lens_count"] == 1
    assert values["picture_bytes"] == 13 * 48 * 48 * 4
    assert (values["cameras_inside"], values["blurred"], values["duplicates"]) == ([], [], [])
    assert values["exposure"].keys() == {"spread", "darker", "brighter", "blown out", "black"}
    assert values["coverage"]["gap"] == report.coverage.gap
    assert [(one["name"], one["split"]) for one in values["photographs"][9:11]] == [
        ("train/r_9.png", "train"),
        ("test/r_0.png", "test"),
    ]
    assert 0 < values["rays_box"] <= values["rays_core"] <= 1
    corners = torch.tensor(values["box_input"])
    assert (corners[0] < torch.tensor(drawn.LOW)).all()
    assert (corners[1] > torch.tensor(drawn.HIGH)).all()


def test_cameras_inside_the_core_are_named(tmp_path):
    poses = drawn.ring(12)
    poses[3][:3, 3] = torch.tensor([0.1, 0.1, 0.3])
    drawn.transforms(tmp_path, poses)
    report = checks.examine(load(str(tmp_path), ReadOptions()), "transforms", "")
    assert report.named("inside") == report.to_record()["cameras_inside"] == ["images/003.png"]
    assert report.named("far", "away", "duplicate") == []
