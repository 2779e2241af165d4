"""The crop box once it is turned: handles are where its faces are seen and follow the pointer; the knob turns it."""

import math

import numpy as np
import pytest
import torch

from render.camera import Camera, Intrinsics, look_at, project
from viewer.window.crop_box import KNOB, CropBox, list_handles

SCENE = (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
CROP = (0.3, 0.35, 0.2, 0.7, 0.6, 0.8)
TURNS = [0.0, 0.5, -2.0, math.pi / 2]


def standing(x=2.6, y=-1.4, z=1.7):
    pose = look_at(torch.tensor([x, y, z]), torch.tensor([0.5, 0.5, 0.45]), torch.tensor([0.0, 0.0, 1.0]))
    return Camera(pose, Intrinsics(600.0, 600.0, 320.0, 240.0), (640, 480))


def seen(points):
    return project(standing(), torch.as_tensor(np.atleast_2d(points), dtype=torch.float64))[0].numpy()


def middles(crop):
    """Middles of a turned box's faces in the world, by trigonometry."""
    low, high = np.array(crop.box[:3]), np.array(crop.box[3:])
    center, half = (low + high) / 2, (high - low) / 2
    result = []
    for face in range(6):
        offset = np.zeros(3)
        offset[face % 3] = half[face % 3] * (1 if face >= 3 else -1)
        c, s = math.cos(crop.turn), math.sin(crop.turn)
        x, y, z = offset
        result.append(center + np.array([c * x - s * y, s * x + c * y, z]))
    return np.array(result)


@pytest.mark.parametrize("turn", TURNS)
def test_handles_are_where_the_faces_are_seen_and_the_knob_comes_last(turn):
    crop = CropBox(CROP, turn)
    handles = crop.handles(standing())
    assert [h.face for h in handles] == [*range(6), KNOB]
    for handle, middle in zip(handles, middles(crop), strict=False):
        assert handle.at == pytest.approx(tuple(seen(middle)[0]), abs=1e-2)  # float32 poses
        assert crop.find(standing(), handle.at) is not None
    assert crop.find(standing(), handles[-1].at) == KNOB
    assert crop.find(standing(), (2.0, 2.0)) is None


def test_one_that_is_not_turned_has_the_handles_that_it_always_had():
    assert CropBox(CROP).handles(standing())[:6] == list_handles(standing(), CROP)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("face", range(6))
def test_a_dragged_face_follows_the_pointer_and_the_opposite_one_stays(turn, face):
    crop = CropBox(CROP, turn)
    before = middles(crop)
    outward = (before[face] - crop.middle) / np.linalg.norm(before[face] - crop.middle)
    there = before[face] + 0.05 * outward
    result = crop.dragged(face, standing(), (tuple(seen(before[face])[0]), tuple(seen(there)[0])), SCENE)
    after, opposite = middles(result), (face + 3) % 6
    assert result.turn == turn
    assert after[face] == pytest.approx(there, abs=2e-3)
    assert after[opposite] == pytest.approx(before[opposite], abs=2e-3)


@pytest.mark.parametrize("turn", TURNS)
def test_the_knob_turns_the_box_about_its_middle_along_with_the_pointer(turn):
    crop = CropBox(CROP, turn)
    begin = seen(crop.place(crop.knob))[0]
    end = seen(CropBox(CROP, turn + 0.05).place(crop.knob))[0]
    result = crop.dragged(KNOB, standing(), (tuple(begin), tuple(end)), SCENE)
    assert result.box == CROP
    assert result.turn == pytest.approx(turn + 0.05, abs=0.01)


def test_a_knob_that_would_move_straight_to_the_eye_stays():
    crop = CropBox(CROP)
    x, _, z = crop.knob.tolist()  # it turns towards +y, which is straight ahead from here
    pose = look_at(torch.tensor([x, -2.0, z]), torch.tensor([x, 0.5, z]), torch.tensor([0.0, 0.0, 1.0]))
    ahead = Camera(pose, Intrinsics(600.0, 600.0, 320.0, 240.0), (640, 480))
    assert crop.find(ahead, (320.0, 240.0)) == KNOB
    assert crop.dragged(KNOB, ahead, ((320.0, 240.0), (360.0, 250.0)), SCENE).turn == 0.0


def test_turns_stay_within_half_a_turn_either_way():
    crop, turns = CropBox(CROP, 3.0), set()
    for _ in range(6):
        begin = tuple(seen(crop.place(crop.knob))[0])
        end = tuple(seen(CropBox(CROP, crop.turn + 0.1).place(crop.knob))[0])
        crop = crop.dragged(KNOB, standing(), (begin, end), SCENE)
        turns.add(crop.turn)
        assert abs(crop.turn) <= math.pi
    assert min(turns) < 0 < max(turns)  # it went on across the far side
