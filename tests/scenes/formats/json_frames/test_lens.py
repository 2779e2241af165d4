import math

import pytest

from scenes.formats.json_frames.lens import intrinsics, merged
from scenes.options import SceneError

SIZE = (800, 600)


def lens(size=SIZE, **keys):
    return intrinsics(keys, size, "t.json: frame 0")[0]


def test_pixels_radians_and_degrees_agree():
    fx = 400 / math.tan(0.3)
    for keys in ({"fl_x": fx}, {"camera_angle_x": 0.6}, {"x_fov": math.degrees(0.6)}):
        found = lens(**keys)
        assert found.fx == pytest.approx(fx)
        assert found.fy == pytest.approx(fx)  # square pixels where one axis is silent
        assert (found.cx, found.cy) == (400, 300)


def test_each_axis_has_its_own_keys():
    found = lens(camera_angle_x=0.6, y_fov=40)
    assert found.fx == pytest.approx(400 / math.tan(0.3))
    assert found.fy == pytest.approx(300 / math.tan(math.radians(20)))
    assert lens(fl_y=500).fx == 500


def test_numbers_are_for_the_stated_size_or_else_for_the_file():
    keys = {"w": 800, "h": 600, "fl_x": 1000, "fl_y": 1100, "cx": 390, "cy": 310, "k1": 0.1}
    found, size = intrinsics(keys, (400, 300), "t.json: frame 0")
    assert (found.fx, found.fy, found.cx, found.cy) == (1000, 1100, 390, 310)
    assert found.radial == (0.1, 0, 0, 0)
    assert size == (800, 600)
    assert intrinsics({"fl_x": 1000}, (400, 300), "t.json: frame 0")[1] == (400, 300)


@pytest.mark.parametrize(
    ("model", "want"),
    [("PINHOLE", "opencv"), ("OPENCV", "opencv"), ("SIMPLE_RADIAL", "opencv"), ("OPENCV_FISHEYE", "fisheye")],
)
def test_camera_models(model, want):
    found = lens(fl_x=500, camera_model=model, k1=0.1, k2=0.2, k3=0.3, k4=0.4)
    assert found.model == want
    assert found.radial == (0.1, 0.2, 0.3, 0.4)


def test_is_fisheye():
    assert lens(fl_x=500, is_fisheye=True).model == "fisheye"
    assert lens(fl_x=500, p1=0.01, p2=0.02).tangential == (0.01, 0.02)


def test_a_frames_own_focal_length_replaces_the_documents():
    entry = merged({"fl_x": 100, "fl_y": 100, "k1": 0.5}, {"camera_angle_x": 0.6}, "t.json")
    assert entry == {"camera_angle_x": 0.6, "k1": 0.5}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "no field of view; wanted one of fl_x"),
        ({"fl_x": 0}, r"'fl_x' must be a number from 0.001 to 1e\+07, found 0"),
        ({"fl_x": 1e-300}, r"'fl_x' must be a number from 0.001 to 1e\+07, found 1e-300"),
        ({"fl_x": 10**400}, r"'fl_x' must be a number from 0.001 to 1e\+07, found 1000"),
        ({"fl_x": 5, "fl_y": -3}, r"'fl_y' must be a number from 0.001 to 1e\+07, found -3"),
        ({"fl_x": 5, "cx": 1e9}, "'cx' must be a number from -655360 to 655360, found 1000000000.0"),
        ({"fl_x": 5, "k1": 1e300}, r"'k1' must be a number from -1e\+06 to 1e\+06, found 1e\+300"),
        ({"fl_x": 5, "p2": 1e300}, r"'p2' must be a number from -1e\+06 to 1e\+06, found 1e\+300"),
        ({"camera_angle_x": 1e-300}, "must lie between 0 and 180 degrees"),
        ({"fl_x": "wide"}, "'fl_x' must be a number from .* found 'wide'"),
        ({"fl_x": True}, "'fl_x' must be a number from"),
        ({"fl_x": float("nan")}, "'fl_x' must be a number from .* found NaN"),
        ({"camera_angle_x": 39.6}, "must lie between 0 and 180 degrees"),
        ({"x_fov": 0}, "must lie between 0 and 180 degrees, found 0"),
        ({"fl_x": 5, "camera_model": "EQUIRECTANGULAR"}, "unknown camera_model 'EQUIRECTANGULAR'; wanted one of"),
        ({"fl_x": 5, "camera_model": "FULL_OPENCV", "k5": 0.1}, "FULL_OPENCV with k5 cannot be read"),
        ({"fl_x": 5, "ftheta_p0": 1}, "'ftheta_p0' is a lens that cannot be read"),
        ({"fl_x": 5, "w": 0, "h": 8}, "'w' must be a number from 1 to 65536, found 0"),
        ({"fl_x": 5, "is_fisheye": True, "p1": 0.1}, "a fisheye lens takes no p1 p2"),
    ],
)
def test_what_cannot_be_a_lens_is_refused(keys, message):
    with pytest.raises(SceneError, match=message) as caught:
        lens(**keys)
    assert str(caught.value).startswith("t.json: frame 0")
