"""The picture of the cameras: what is drawn, how large, and where numbers stand."""

import dataclasses
import math

import drawn
import pytest
import torch
from PIL import Image, ImageDraw

from scenes import frusta, lettering
from scenes.assemble import load
from scenes.coverage import level, upward
from scenes.options import ReadOptions
from scenes.photographs import Finding, look_over


def scene_of(tmp_path, poses, size=(48, 32), **extra):
    drawn.transforms(tmp_path, poses, size, **extra)
    return load(str(tmp_path), ReadOptions())


def spots_of(scene):
    return [frusta.Spot(view, frusta.TRAIN, 0, False) for view in (*scene.train, *scene.test)]


def test_it_shows_box_train_and_test_in_their_colours(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), ReadOptions())
    picture = frusta.draw(scene, look_over(scene, []))
    assert picture.size == (2 * frusta.SIDE, frusta.SIDE)
    for pane in (picture.crop((0, 60, 900, 840)), picture.crop((900, 60, 1800, 840))):
        colours = {colour for _, colour in pane.getcolors(1 << 20) or []}
        for wanted in (frusta.TRAIN, frusta.TEST, frusta.BOX, *(colour for _, colour in frusta.AXES)):
            assert tuple(bytes.fromhex(wanted[1:])) in colours or wanted == frusta.AXES[2][1]  # Z points at the viewer


@pytest.mark.parametrize("case", ["ring", "many", "one side", "far apart", "narrow lens", "wide lens"])
def test_every_pyramid_is_large_enough_to_see_and_none_fills_the_pane(tmp_path, case):
    poses = {
        "many": drawn.ring(300),
        "one side": drawn.ring(200)[:12],
        "far apart": drawn.ring(12, 40.0),
    }.get(case, drawn.ring(12))
    lens = {"narrow lens": 300, "wide lens": 20}.get(case, 60)
    scene = scene_of(tmp_path, poses, fl_x=lens, fl_y=lens)
    points = frusta.content(scene)
    turn = level(upward(scene))
    above, zoom = frusta._fitted(frusta._above(turn), points)
    size = frusta.pyramid_size(spots_of(scene), zoom)
    for project in (above, frusta._fitted(frusta._oblique(points, turn), points)[0]):
        for view in scene.train:
            wide = view.camera.size[0] / view.camera.intrinsics.fx
            raw = project(frusta.pyramid(view.camera, size / min(max(wide, 0.66), 3.0)))
            flat = raw[:, :2] / raw[:, 2:] / frusta.FINE
            share = float((flat.amax(0) - flat.amin(0)).max()) / frusta.SIDE
            assert 0.02 < share < 0.25
            assert float(flat.abs().max()) < 0.6 * frusta.SIDE


def test_what_must_be_seen_fills_the_pane_and_lies_within(tmp_path):
    scene = scene_of(tmp_path, drawn.ring(12))
    points = frusta.content(scene)
    raw = frusta._fitted(frusta._above(torch.eye(3)), points)[0](points)
    assert raw.shape == (8 + 12, 3)  # corners of the core, cameras
    assert float((raw[:, :2].amax(0) - raw[:, :2].amin(0)).max()) == pytest.approx(0.82 * frusta.SIDE * frusta.FINE)


def test_a_far_camera_does_not_set_the_scale(tmp_path):
    poses = drawn.ring(12)
    poses[5] = poses[5].clone()
    poses[5][:3, 3] *= 50
    scene = scene_of(tmp_path, poses)
    assert len(frusta.content(scene)) == 8 + 11
    photos = look_over(scene, [])
    far = next(i for i, photo in enumerate(photos) if "far" in [f.kind for f in photo.findings])
    numbers = frusta.number(photos)
    assert far in numbers
    red = tuple(bytes.fromhex(frusta.WRONG[1:]))
    pane = frusta.draw(scene, photos).crop((frusta.SIDE, 60, 2 * frusta.SIDE, 840))
    assert red in {colour for _, colour in pane.getcolors(1 << 20) or []}  # its number, at the edge


def test_a_box_around_all_cameras_does_not_set_the_scale(tmp_path):
    scene = load(str(drawn.blender(tmp_path)), ReadOptions())
    huge = dataclasses.replace(scene, box=torch.tensor([[-100.0] * 3, [101.0] * 3]))
    assert len(frusta.content(scene)) == 8 + 13
    assert len(frusta.content(huge)) == 13


def test_numbers_go_to_what_looks_wrong_first(tmp_path):
    scene = load(str(drawn.blender(tmp_path, train=40)), ReadOptions())
    photos = look_over(scene, [])
    assert [*frusta.number(photos).values()] == [1, 2, 3, 4, 5, 6]
    wrong = [
        dataclasses.replace(p, findings=[Finding("blurred", "")] * (i in (3, 17, 41))) for i, p in enumerate(photos)
    ]
    numbers = frusta.number(wrong)
    assert {3, 17, 41} <= {*numbers} and len(numbers) == 9
    assert [*numbers] == sorted(numbers)
    every = [dataclasses.replace(p, findings=[Finding("blurred", "")]) for p in photos]
    assert len(frusta.number(every)) == frusta.NUMBERED


def test_numbers_overlap_neither_each_other_nor_other_text(tmp_path, monkeypatch):
    panes = []
    made = frusta.DrawnPane

    def keep(pen, project):
        panes.append(made(pen, project))
        return panes[-1]

    monkeypatch.setattr(frusta, "DrawnPane", keep)
    scene = scene_of(tmp_path, drawn.ring(400)[:30])
    photos = [dataclasses.replace(p, findings=[Finding("blurred", "")]) for p in look_over(scene, [])]
    frusta.draw(scene, photos)
    assert len(panes) == 2
    for pane in panes:
        assert len(pane.taken) > frusta.NUMBERED  # with title, axes and legend
        for i, space in enumerate(pane.taken):
            if i not in (0, 1, 2):  # letters of axes may meet where one points at the viewer
                assert not lettering.overlap(space, pane.taken[:i])
            assert min(space[:2]) >= 0 and max(space[2:]) <= frusta.SIDE


def test_a_line_is_cut_where_it_passes_the_eye():
    pen = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    assert frusta.segment(pen, lambda p: p, torch.tensor([[0.0, 0, -1], [1, 1, -2]]), "#000000", 1) is None
    end = frusta.segment(pen, lambda p: p, torch.tensor([[0.0, 0, -1], [1, 1, 1]]), "#000000", 1)
    assert end is not None and math.isfinite(end[0])


def test_of_many_cameras_an_even_choice_is_drawn_whole():
    assert frusta.spread(range(10), 3) == [0, 3, 6]
    assert frusta.spread(range(3), 10) == [0, 1, 2]
    assert frusta.spread([], 3) == []
