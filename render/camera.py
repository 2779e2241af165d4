"""Cameras and their conventions: the only place where axes, pixel centres and lenses are defined.

Pose: camera-to-world 4x4, OpenGL axes: +X right, +Y up, the camera looks along -Z; world +Z is up.
Pixel (column, row) counts from the top left corner; the centre of the first pixel is (0.5, 0.5).
Scene units: the core of the scene fills the unit cube [0, 1]^3; a scene's `transform` maps input coordinates there.
Lenses: `opencv` (pinhole where all coefficients are zero) and `fisheye` (OpenCV's equidistant model).
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from fields.numbers import array, brief, number, whole
from render.rays import RayBatch, rows

LensModel = Literal["opencv", "fisheye"]
NEWTON_STEPS = 12
ASTRAY = 0.05  # pixels that a ray, projected again, may miss its own by
LARGEST = 1 << 16  # pixels along a side of a picture
MOST = 1 << 27  # pixels of a picture: more than any that is read
FOCAL = (1e-3, 1e7)  # pixels
BENT = 1e6  # largest coefficient of distortion: they are large where a lens sees little
ASIDE = 10  # picture sizes that a centre may lie off the picture
FARTHEST = 1e6  # scene units from the origin, where float32 still tells a tenth of one
RIGID = 0.01  # how far rotation^T rotation may be off the identity


@dataclass(frozen=True)
class Intrinsics:
    """A lens. Distortion acts on normalised image coordinates (+x right, +y down), as in OpenCV.

    opencv:  r2 = x^2 + y^2, radial = 1 + k1 r2 + k2 r2^2 + k3 r2^3 + k4 r2^4, tangential p1 p2
    fisheye: theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8), theta the angle to the axis
    """

    fx: float  # pixels, > 0
    fy: float  # pixels, > 0
    cx: float  # pixels from the left edge
    cy: float  # pixels from the top edge
    model: LensModel = "opencv"
    radial: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # k1 k2 k3 k4
    tangential: tuple[float, float] = (0.0, 0.0)  # p1 p2, only for opencv

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.radial, *self.tangential)
        if not all(math.isfinite(n) for n in numbers):
            raise ValueError(f"intrinsics must be finite numbers, found {numbers}")
        if self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"focal length must be > 0 pixels, found fx={self.fx:g} fy={self.fy:g}")
        if self.model not in ("opencv", "fisheye"):
            raise ValueError(f"lens model must be opencv or fisheye, found {brief(self.model)}")

    @property
    def distorted(self) -> bool:
        """Whether rays differ from a pinhole's."""
        return self.model == "fisheye" or any(self.radial) or any(self.tangential)

    def resized(self, x: float, y: float) -> "Intrinsics":
        """The lens for an image whose width is scaled by `x` and height by `y`; distortion does not change."""
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "focal": [self.fx, self.fy],
            "center": [self.cx, self.cy],
            "model": self.model,
            "radial": list(self.radial),
            "tangential": list(self.tangential),
        }


@dataclass(frozen=True)
class Camera:
    """One posed camera."""

    pose: Tensor  # (4, 4) float32, camera-to-world in scene units
    intrinsics: Intrinsics
    size: tuple[int, int]  # width, height in pixels

    def rays(self) -> RayBatch:
        """One ray per pixel, row by row: R = width * height."""
        width, height = self.size
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([columns, rows], -1).reshape(-1, 2)
        bank = CameraBank.of([self])
        return bank.rays(torch.zeros(len(pixels), dtype=torch.int64), pixels)

    def resized(self, width: int, height: int) -> "Camera":
        """The same view drawn at another size."""
        x, y = width / self.size[0], height / self.size[1]
        return Camera(self.pose, self.intrinsics.resized(x, y), (width, height))

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values, for a model file."""
        pose = [[float(f"{v:.9g}") for v in row] for row in self.pose.tolist()]  # 9 digits hold a float32
        return {"pose": pose, "size": list(self.size)} | self.intrinsics.to_record()

    @staticmethod
    def from_record(record: dict[str, Any]) -> "Camera":
        """Inverse of `to_record`. ValueError where an entry is missing or has the wrong form."""
        try:
            pose = array(record["pose"], "'pose'", (4, 4), FARTHEST).float()
            turn = pose[:3, :3]
            if float((turn @ turn.T - torch.eye(3)).abs().max()) > RIGID:
                raise ValueError(f"'pose' must be a rotation and a position, found {brief(record['pose'])}")
            width, height = (whole(n, "'size'", 1, LARGEST) for n in array(record["size"], "'size'", (2,)).tolist())
            if width * height > MOST:
                raise ValueError(f"'size' must be at most {MOST} pixels, found {width} x {height}")
            fx, fy = (number(n, "'focal'", *FOCAL) for n in array(record["focal"], "'focal'", (2,)).tolist())
            cx, cy = array(record["center"], "'center'", (2,)).tolist()
            number(cx, "'center'", -ASIDE * width, (ASIDE + 1) * width)
            number(cy, "'center'", -ASIDE * height, (ASIDE + 1) * height)
            k1, k2, k3, k4 = array(record["radial"], "'radial'", (4,), BENT).tolist()
            p1, p2 = array(record["tangential"], "'tangential'", (2,), BENT).tolist()
            lens = Intrinsics(fx, fy, cx, cy, record["model"], (k1, k2, k3, k4), (p1, p2))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"camera record is damaged: {error}") from None
        return Camera(pose, lens, (width, height))


@dataclass(frozen=True)
class CameraBank:
    """Many cameras as tensors, so that one call makes rays for pixels of any of them."""

    poses: Tensor  # (M, 4, 4) float32
    lenses: Tensor  # (M, 10) float32: fx fy cx cy k1 k2 k3 k4 p1 p2
    fisheye: Tensor  # (M,) bool
    distorted: Tensor  # (M,) bool

    @staticmethod
    def of(cameras: list[Camera]) -> "CameraBank":
        """Stack cameras; they may differ in lens and size."""
        lenses = [c.intrinsics for c in cameras]
        rows = [[c.fx, c.fy, c.cx, c.cy, *c.radial, *c.tangential] for c in lenses]
        return CameraBank(
            torch.stack([c.pose for c in cameras]).float(),
            torch.tensor(rows, dtype=torch.float32),
            torch.tensor([c.model == "fisheye" for c in lenses]),
            torch.tensor([c.distorted for c in lenses]),
        )

    def to(self, device: torch.device) -> "CameraBank":
        """The same bank on another device."""
        return CameraBank(*(t.to(device) for t in (self.poses, self.lenses, self.fisheye, self.distorted)))

    @cached_property
    def bent(self) -> bool:
        """Whether any lens is distorted. Asked once, as the host waits for the answer."""
        return bool(self.distorted.any())

    @cached_property
    def round(self) -> bool:
        """Whether any lens is a fisheye."""
        return bool(self.fisheye.any())

    def rays(self, index: Tensor, pixels: Tensor) -> RayBatch:
        """Rays through the centres of `pixels` (R, 2) integer column and row, of cameras `index` (R,)."""
        lens = rows(self.lenses, index)
        plane = (pixels + 0.5 - lens[:, 2:4]) / lens[:, 0:2]
        if self.bent:
            plane = torch.where(self.fisheye[index, None], plane, undistort(plane, lens[:, 4:]))
        local = torch.stack([plane[:, 0], -plane[:, 1], -torch.ones_like(plane[:, 0])], -1)
        if self.round:
            local = torch.where(self.fisheye[index, None], fisheye_directions(plane, lens[:, 4:8]), local)
        pose = rows(self.poses, index)
        directions = (pose[:, :3, :3] @ local[:, :, None])[:, :, 0]
        return RayBatch(pose[:, :3, 3], torch.nn.functional.normalize(directions, dim=-1))


def distort(plane: Tensor, coefficients: Tensor) -> Tensor:
    """Where an ideal pinhole point (N, 2) lands behind an opencv lens; coefficients (N, 6): k1 k2 k3 k4 p1 p2."""
    x, y = plane.unbind(-1)
    k1, k2, k3, k4, p1, p2 = coefficients.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ],
        -1,
    )


def undistort(plane: Tensor, coefficients: Tensor) -> Tensor:
    """Inverse of `distort` by Newton's method in float64. Points outside the lens's valid range stay where the
    iteration leaves them (the residual there is not zero)."""
    target, c = plane.double(), coefficients.double()
    k1, k2, k3, k4, p1, p2 = c.unbind(-1)
    point = target.clone()
    for _ in range(NEWTON_STEPS):
        x, y = point.unbind(-1)
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * (3 * k3 + r2 * 4 * k4)))  # d radial / d x = slope * x
        xx = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        xy = slope * x * y + 2 * p1 * x + 2 * p2 * y
        yy = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        error = distort(point, c) - target
        det = xx * yy - xy * xy
        det = torch.where(det.abs() < 1e-6, torch.full_like(det, 1e-6), det)
        step = torch.stack([yy * error[:, 0] - xy * error[:, 1], xx * error[:, 1] - xy * error[:, 0]], -1)
        point = point - (step / det[:, None]).clamp(-0.5, 0.5)
    return point.to(plane.dtype)


def fisheye_directions(plane: Tensor, radial: Tensor) -> Tensor:
    """Camera-space directions (N, 3), not normalised, of distorted fisheye coordinates (N, 2); radial (N, 4)."""
    k1, k2, k3, k4 = radial.double().unbind(-1)
    target = plane.double().norm(dim=-1)
    theta = target.clamp(max=math.pi)
    for _ in range(NEWTON_STEPS):
        t2 = theta * theta
        value = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) - target
        slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
        theta = (theta - value / slope.clamp(min=1e-3)).clamp(0, math.pi)
    ratio = torch.where(target > 1e-9, theta.sin() / target.clamp(min=1e-9), torch.ones_like(target))
    x, y = plane.double().unbind(-1)
    return torch.stack([x * ratio, -y * ratio, -theta.cos()], -1).to(plane.dtype)


def project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Where points (N, 3) in scene units appear: pixels (N, 2), column and row, and distance (N,) along the axis.

    Pixels are NaN where the lens shows no such point: behind a pinhole, or past the angle where its distortion folds.
    """
    pose, lens = camera.pose.to(points), camera.intrinsics
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    x, y, depth = local[:, 0], -local[:, 1], -local[:, 2]
    radius = torch.hypot(x, y)
    if lens.model == "fisheye":
        theta = torch.atan2(radius, depth)
        t2 = theta * theta
        k1, k2, k3, k4 = lens.radial
        ratio = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) / radius.clamp(min=1e-12)
        plane, sees = torch.stack([x * ratio, y * ratio], -1), theta < unfolded(lens)
    else:
        plane = torch.stack([x, y], -1) / depth.clamp(min=1e-12)[:, None]
        sees = (depth > 0) & (radius < depth * unfolded(lens))
        if lens.distorted:
            plane = distort(plane, plane.new_tensor([*lens.radial, *lens.tangential]).expand(len(plane), 6))
    pixels = plane * plane.new_tensor([lens.fx, lens.fy]) + plane.new_tensor([lens.cx, lens.cy])
    return torch.where(sees[:, None], pixels, torch.nan), depth


def unfolded(lens: Intrinsics) -> float:
    """Up to where radial distortion grows outward: an angle in radians (fisheye) or its tangent (opencv)."""
    if not any(lens.radial):
        return math.pi if lens.model == "fisheye" else math.inf
    r2 = torch.linspace(0, math.pi if lens.model == "fisheye" else 8, 2048, dtype=torch.float64).square()
    k1, k2, k3, k4 = lens.radial
    folds = (1 + r2 * (3 * k1 + r2 * (5 * k2 + r2 * (7 * k3 + r2 * 9 * k4))) <= 0).nonzero()
    return float(r2[folds[0, 0]].sqrt()) if len(folds) else float(r2[-1].sqrt())


def shown(lens: Intrinsics, size: tuple[int, int]) -> Tensor:
    """(H, W) bool: the pixels of a picture of `size`, width and height, that some direction is seen in. A strong barrel
    distortion folds the image back: what lies farther out than it reaches shows nothing, and its rays mean nothing."""
    width, height = size
    if not lens.distorted:
        return torch.ones((), dtype=torch.bool).expand(height, width)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    focal, center = torch.tensor([lens.fx, lens.fy]), torch.tensor([lens.cx, lens.cy])
    plane = ((torch.stack([columns, rows], -1).reshape(-1, 2) - center) / focal).double()
    if lens.model == "fisheye":
        radial = plane.new_tensor(lens.radial).expand(len(plane), 4)
        local = fisheye_directions(plane, radial)
        theta = torch.atan2(local[:, :2].norm(dim=-1), -local[:, 2])
        powers = theta[:, None] ** (2 * torch.arange(1, 5))
        off, far = theta * (1 + (powers * radial).sum(-1)) - plane.norm(dim=-1), theta
    else:
        coefficients = plane.new_tensor([*lens.radial, *lens.tangential]).expand(len(plane), 6)
        point = undistort(plane, coefficients)
        off, far = (distort(point, coefficients) - plane).norm(dim=-1), point.norm(dim=-1)
    near = off.abs() * float(focal.max()) < ASTRAY  # NaN: False
    return (near & (far <= unfolded(lens))).view(height, width)


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """Pose (4, 4) float32 of a camera at `eye` that looks at `target`; `up` must not be parallel to the view."""
    back = torch.nn.functional.normalize(eye - target, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back), dim=0)
    pose = torch.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, torch.linalg.cross(back, right), back, eye
    return pose


def moved(pose: Tensor, transform: Tensor) -> Tensor:
    """A pose (4, 4) carried by a similarity `transform` (4, 4): position mapped, axes turned, never scaled."""
    scale = transform[:3, :3].det().abs() ** (1 / 3)
    result = transform.double() @ pose.double()
    result[:3, :3] /= scale.double()
    return result.float()
