"""The lens keys of a transforms.json, as instant-ngp and nerfstudio write them, in one place."""

import math

from fields import numbers
from render.camera import Intrinsics, LensModel
from scenes.formats.json_frames.document import Entry, number
from scenes.options import SceneError
from scenes.scene import Fact

FOCAL = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
RADIAL = ("k1", "k2", "k3", "k4")
TANGENTIAL = ("p1", "p2")
KEYS = (*FOCAL, "cx", "cy", "w", "h", *RADIAL, *TANGENTIAL, "k5", "k6", "camera_model", "is_fisheye")
MODELS: dict[str, LensModel] = {
    "PERSPECTIVE": "opencv",
    "SIMPLE_PINHOLE": "opencv",
    "PINHOLE": "opencv",
    "SIMPLE_RADIAL": "opencv",
    "RADIAL": "opencv",
    "OPENCV": "opencv",
    "FULL_OPENCV": "opencv",  # only while its denominator k4 k5 k6 is zero
    "OPENCV_FISHEYE": "fisheye",
    "SIMPLE_RADIAL_FISHEYE": "fisheye",
    "RADIAL_FISHEYE": "fisheye",
}
MATRICES = ("K", "intrinsic_matrix")  # of pixels, 3 x 3 or 4 x 4, as NeuS2 gives each frame one
SKEW = 1e-3  # of the focal length, that a matrix may have and that is dropped
OFF_MIDDLE = 0.15  # of a picture's sides, that its principal point may be away from the middle without w and h
OTHER_LENSES = ("ftheta_p0", "latlong", "equirectangular", "is_latlong")  # instant-ngp's, none of them supported


def merged(document: Entry, frame: Entry, where: str) -> Entry:
    """The lens keys of a frame over those of its document. A frame's own focal length replaces the document's whole
    set, so that a stated `camera_angle_x` is not overruled by a global `fl_x`. SceneError, beginning with `where`, for
    a matrix that is no lens."""
    base, mine = own(document, where), own(frame, where)
    if any(key in mine for key in FOCAL):
        base = {key: value for key, value in base.items() if key not in FOCAL}
    return base | mine


def own(entry: Entry, where: str) -> Entry:
    """The lens keys of a document or a frame; of a matrix its four numbers, where they are not given beside it."""
    found = {key: entry[key] for key in KEYS + OTHER_LENSES if key in entry}
    name = next((name for name in MATRICES if entry.get(name) is not None), None)
    return (from_matrix(entry[name], f"{where}: '{name}'") if name else {}) | found


def from_matrix(rows: object, where: str) -> Entry:
    """The lens keys of a camera matrix of pixels, rows of 3 or 4 numbers."""
    try:
        side = len(rows) if isinstance(rows, list) else 3
        matrix = numbers.array(rows, where, (side, side) if side == 4 else (3, 3))
    except ValueError as error:
        raise SceneError(str(error)) from None
    (fx, skew, cx), (slant, fy, cy), (a, b, one) = matrix[:3, :3].tolist()
    if (slant, a, b, one) != (0, 0, 0, 1) or abs(skew) > SKEW * abs(fx):
        raise SceneError(f"{where} must be fl_x 0 cx, 0 fl_y cy, 0 0 1, found {numbers.brief(rows)}")
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy}


def intrinsics(entry: Entry, size: tuple[int, int], where: str) -> tuple[Intrinsics, tuple[int, int]]:
    """The lens in pixels, and the size (width, height) that it is stated for: `size`, the file's, where `entry` names
    none. SceneError, beginning with `where`, for an unknown model, or a missing or impossible focal length."""
    model = lens_model(entry, where)
    width, height = stated_size(entry, size, where)
    fx, fy = focal(entry, (width, height), where)
    k1, k2, k3, k4 = (number(entry, key, where, 0.0) for key in RADIAL)
    p1, p2 = (number(entry, key, where, 0.0) for key in TANGENTIAL)
    if model == "fisheye" and (p1 or p2):
        raise SceneError(f"{where}: a fisheye lens takes no p1 p2, found p1={p1:g} p2={p2:g}")
    cx, cy = number(entry, "cx", where, width / 2), number(entry, "cy", where, height / 2)
    return Intrinsics(fx, fy, cx, cy, model, (k1, k2, k3, k4), (p1, p2)), (width, height)


def lens_model(entry: Entry, where: str) -> LensModel:
    """`camera_model` and `is_fisheye` as one of the models of render/camera.py."""
    for key in OTHER_LENSES:
        if entry.get(key):
            raise SceneError(f"{where}: '{key}' is a lens that cannot be read; wanted a perspective or OpenCV fisheye")
    name = entry.get("camera_model")
    if name is None:
        return "fisheye" if entry.get("is_fisheye") else "opencv"
    if not isinstance(name, str) or name.upper() not in MODELS:
        raise SceneError(f"{where}: unknown camera_model {numbers.brief(name)}; wanted one of {', '.join(MODELS)}")
    denominator = [key for key in ("k4", "k5", "k6") if entry.get(key)]
    if name.upper() == "FULL_OPENCV" and denominator:
        raise SceneError(f"{where}: FULL_OPENCV with {' '.join(denominator)} cannot be read; wanted OPENCV")
    return "fisheye" if entry.get("is_fisheye") else MODELS[name.upper()]


def stated_size(entry: Entry, size: tuple[int, int], where: str) -> tuple[int, int]:
    """`w` and `h` in pixels; `size`, the file's, where neither is given, and its shape where one is missing."""
    given = {key: number(entry, key, where) for key in ("w", "h") if key in entry}
    scale = given["w"] / size[0] if "w" in given else given["h"] / size[1] if "h" in given else 1.0
    width, height = given.get("w", size[0] * scale), given.get("h", size[1] * scale)
    return max(round(width), 1), max(round(height), 1)


def of_other_size(entry: Entry, size: tuple[int, int], where: str) -> Fact | None:
    """That a principal point without w and h is in the middle of a picture of another size than the file's. SceneError
    where it is not even in the file's."""
    if "w" in entry or "h" in entry or not ("cx" in entry and "cy" in entry):
        return None
    x, y = number(entry, "cx", where) / size[0], number(entry, "cy", where) / size[1]
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise SceneError(
            f"{where}: the principal point ({entry['cx']:g}, {entry['cy']:g}) lies outside the picture of "
            f"{size[0]} x {size[1]}; if the lens is for another size, give its w and h"
        )
    if abs(x - y) > OFF_MIDDLE / 2 or abs(x - 0.5) < OFF_MIDDLE or abs(y - 0.5) < OFF_MIDDLE:
        return None
    said = (
        f"lens: the principal point ({entry['cx']:g}, {entry['cy']:g}) is far from the middle of {size[0]} x {size[1]}"
    )
    return Fact("doubtful", f"{said} pixels; if the lens is for another size, give its w and h")


def focal(entry: Entry, size: tuple[int, int], where: str) -> tuple[float, float]:
    """Focal lengths in pixels of a picture of `size`. Where one axis is missing, pixels are taken to be square."""
    fx = _axis(entry, ("fl_x", "camera_angle_x", "x_fov"), size[0], where)
    fy = _axis(entry, ("fl_y", "camera_angle_y", "y_fov"), size[1], where)
    only = fx or fy
    if only is None:
        raise SceneError(f"{where}: no field of view; wanted one of {', '.join(FOCAL)}")
    return fx or only, fy or only


def _axis(entry: Entry, keys: tuple[str, str, str], pixels: int, where: str) -> float | None:
    """One axis's focal length from a length in pixels, an angle in radians or an angle in degrees, in this order."""
    length, radians, degrees = keys
    if length in entry:
        return number(entry, length, where)
    if radians in entry:
        return _from_angle(number(entry, radians, where), pixels, f"{where}: {radians} (radians)")
    if degrees in entry:
        return _from_angle(math.radians(number(entry, degrees, where)), pixels, f"{where}: {degrees} (degrees)")
    return None


def _from_angle(angle: float, pixels: int, what: str) -> float:
    if not 1e-6 < angle < 3.1415:  # so that the focal length is neither endless nor nothing
        raise SceneError(f"{what} must lie between 0 and 180 degrees, found {math.degrees(angle):g} degrees")
    return pixels / 2 / math.tan(angle / 2)
