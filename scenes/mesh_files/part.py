"""What a reader of mesh files gives: triangles with their colours in the file's own axes, and what is to be told."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from fields.numbers import LENGTH
from scenes.mesh_files.polygons import cut
from scenes.options import SceneError
from scenes.scene import Fact

GREY = 0.7  # where the file has no colour
PLAIN = "none, so grey"  # what a part is painted with then
MOST = 1 << 24  # triangles of a file, about 6 GiB of memory


@dataclass(frozen=True)
class Part:
    """F triangles of one material, in the file's own axes."""

    corners: np.ndarray  # (F, 3, 3) float64
    colors: np.ndarray  # (F, 3, 3) float32, RGB in [0, 1], display values
    uv: np.ndarray  # (F, 3, 2) float32
    picture: Image.Image | None
    cutoff: float  # as in scenes/drawn/surface.py
    painted: str  # where its colour comes from

    def kept(self, which: np.ndarray) -> "Part":
        """Of the triangles those that `which` (F,) names."""
        arrays = (self.corners[which], self.colors[which], self.uv[which])
        return Part(*arrays, self.picture, self.cutoff, self.painted)


@dataclass(frozen=True)
class Contents:
    """What a mesh file holds."""

    parts: list[Part]
    facts: list[Fact] = field(default_factory=list)  # what could not be taken as it stands
    maker: str = ""  # the program that wrote it, where that says which axis is up


@dataclass(frozen=True)
class Polygons:
    """P polygons between N points."""

    points: np.ndarray  # (N, 3) float64, in the file's own axes
    corners: np.ndarray  # (K,) int64, which point each corner is
    starts: np.ndarray  # (P + 1,) int64, the first corner of each polygon, and K

    def split(self, path: Path) -> tuple[np.ndarray, np.ndarray, list[Fact]]:
        """Triangles (T, 3), which name corners 0 to K - 1, the polygon (T,) of each, and what is to be told. SceneError
        for corners that are no points, points that are no finite numbers, and what is too much."""
        low, high = self.corners.min(initial=0), self.corners.max(initial=0)
        if low < 0 or (len(self.corners) and high >= len(self.points)):
            raise SceneError(f"{path}: a face names vertex {low if low < 0 else high}, of {len(self.points)} from 0 on")
        sound = np.asarray((np.abs(self.points) <= LENGTH).all(1))  # not so of NaN
        bad = np.unique(np.searchsorted(self.starts, np.flatnonzero(~sound[self.corners]), "right"))
        check_finite(path, len(bad), len(self.starts) - 1)
        check_count(path, int(np.maximum(np.diff(self.starts) - 2, 0).sum()))
        try:
            triangles, crossing = cut(self.points[self.corners], self.starts)
        except ValueError as error:
            raise SceneError(f"{path}: {error}") from None
        told = f"{crossing} polygons cross themselves: their triangles may lie outside of them"
        facts = [Fact("assumed", told)] if crossing else []
        return triangles, np.searchsorted(self.starts, triangles[:, 0], "right") - 1, facts


def check_finite(path: Path, bad: int, every: int) -> None:
    """SceneError where `bad` of `every` faces have corners that are NaN, infinite or LENGTH away."""
    if bad:
        raise SceneError(f"{path}: {bad} of {every} faces have corners that are not finite numbers up to {LENGTH:g}")


def check_count(path: Path, count: int) -> None:
    """SceneError for more triangles than are drawn."""
    if count > MOST:
        raise SceneError(f"{path}: holds {count} triangles; wanted at most {MOST}")


def shades(values: np.ndarray, what: str) -> tuple[np.ndarray, list[Fact]]:
    """Colours (N, 3) float32 in [0, 1] of values that are 0 to 1, 0 to 255, or all that their type of integer holds;
    what is no number becomes grey, which is told."""
    values = np.asarray(values)[:, :3]
    whole = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    values = values.astype(np.float64) / whole
    bad = np.asarray(~np.isfinite(values).all(1))
    values[bad] = GREY
    if whole == 1 and values.max(initial=0) > 1:
        values = np.where(bad[:, None], values, values / 255)
    facts = [Fact("assumed", f"colours: {bad.sum()} of {len(bad)} {what} have none that is a number: grey")]
    return values.clip(0, 1).astype(np.float32), facts if bad.any() else []


def dressed(
    corners: np.ndarray,
    texture: tuple[Image.Image | None, np.ndarray | None],
    colors: np.ndarray | None,
    color: tuple[float, float, float] | None = None,
    name: str = "vertex colours",
) -> Part:
    """A part of triangles (F, 3, 3) that shows, of what there is, its picture at uv (F, 3, 2), else `colors` (F, 3, 3),
    which come from `name`, else its material's one `color`, else grey."""
    picture, uv = texture
    nowhere = np.zeros((*corners.shape[:2], 2), np.float32)
    if picture is not None and uv is not None:
        uv = np.nan_to_num(uv.astype(np.float32), posinf=0, neginf=0)
        return Part(corners, np.ones(corners.shape, np.float32), uv, picture, 0.0, "texture")
    if colors is not None:
        return Part(corners, colors, nowhere, None, 0.0, name)
    flat = np.broadcast_to(np.asarray(color or (GREY,) * 3, np.float32), corners.shape).copy()
    return Part(corners, flat, nowhere, None, 0.0, "material" if color else PLAIN)
