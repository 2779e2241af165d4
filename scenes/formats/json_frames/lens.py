"""The lens keys of a transforms.json, as instant-ngp and nerfstudio write them, in one place."""

import math

from render.camera import Intrinsics, LensModel
from scenes.formats.json_frames.document import Entry, number
from scenes.options import SceneError

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
OTHER_LENSES = ("ftheta_p0", "latlong", "equirectangular", "is_latlong")  # instant-ngp's, none of them supported


def merged(document: Entry, frame: Entry) -> Entry:
    """The lens keys of a frame over those of its document. A frame's own focal length replaces the document's whole
    set, so that a stated `camera_angle_x` is not overruled by a global `fl_x`."""
    base = {key: document[key] for key in KEYS + OTHER_LENSES if key in document}
    own = {key: frame[key] for key in KEYS + OTHER_LENSES if key in frame}
    if any(key in own for key in FOCAL):
        base = {key: value for key, value in base.items() if key not in FOCAL}
    return base | own


def intrinsics(entry: Entry, size: tuple[int, int], where: str) -> tuple[Intrinsics, tuple[int, int]]:
    """The lens in pixels, and the size (width, height) that it is stated for: `size`, the file's, where `entry` names
    none. SceneError, beginning with `where`, for an unknown model, or a missing or impossible focal length."""
    model = lens_model(entry, where)
    width, height = stated_size(entry, where) or size
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
        raise SceneError(f"{where}: unknown camera_model {name!r}; wanted one of {', '.join(MODELS)}")
    denominator = [key for key in ("k4", "k5", "k6") if entry.get(key)]
    if name.upper() == "FULL_OPENCV" and denominator:
        raise SceneError(f"{where}: FULL_OPENCV with {' '.join(denominator)} cannot be read; wanted OPENCV")
    return "fisheye" if entry.get("is_fisheye") else MODELS[name.upper()]


def stated_size(entry: Entry, where: str) -> tuple[int, int] | None:
    """`w` and `h` in pixels, or None where they are not given."""
    if "w" not in entry or "h" not in entry:
        return None
    width, height = number(entry, "w", where), number(entry, "h", where)
    if width < 1 or height < 1:
        raise SceneError(f"{where}: w and h must be at least 1 pixel, found {width:g} x {height:g}")
    return round(width), round(height)


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
        value = number(entry, length, where)
        if value <= 0:
            raise SceneError(f"{where}: {length} must be > 0 pixels, found {value:g}")
        return value
    if radians in entry:
        return _from_angle(number(entry, radians, where), pixels, f"{where}: {radians} (radians)")
    if degrees in entry:
        return _from_angle(math.radians(number(entry, degrees, where)), pixels, f"{where}: {degrees} (degrees)")
    return None


def _from_angle(angle: float, pixels: int, what: str) -> float:
    if not 1e-6 < angle < 3.1415:  # so that the focal length is neither endless nor nothing
        raise SceneError(f"{what} must lie between 0 and 180 degrees, found {math.degrees(angle):g} degrees")
    return pixels / 2 / math.tan(angle / 2)
