"""The built-in scene, drawn by our own code: `builtin` or `builtin:SIZE`. Nothing is downloaded.

A still life on a transparent background, 2.6 input units wide, with cameras all around it. The pictures are kept in a
cache folder, so that they are drawn once.
"""

import functools
import hashlib
import math
import tempfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields import cache_folders
from render.camera import Camera, moved
from scenes.drawn import still_life, tracer
from scenes.drawn.studio import fit_cube, pose_pictures, square_lens, stand_around
from scenes.options import ReadOptions, SceneError
from scenes.placing.box import Placement
from scenes.posed import Reading
from scenes.progress import told
from scenes.scene import Fact

TAKES = "builtin or builtin:SIZE"
VERSION = 2  # of the cached pictures' format
SIZE, LEAST, MOST = 240, 32, 2048  # pixels of the square picture: default and limits
TRAIN, TEST = 48, 8  # pictures
SEED = 7
SAMPLES = 2  # rays per pixel along each side
MARGIN = 1.02  # of the box around the objects, and of the picture around them
ROWS = 16  # of a picture, drawn by one thread at a time


def matches(data: str) -> int:
    """Whether `data` names the built-in scene."""
    return 3 * (data == "builtin" or data.startswith("builtin:"))


def read(data: str, options: ReadOptions) -> Reading:
    """The built-in scene; SceneError where SIZE is not a number of pixels from 32 to 2048."""
    size = picture_size(data, options)
    poses = stand(np.concatenate([scatter(TRAIN, SEED), climb(TEST)]))
    transform, box = placement()
    cameras = [Camera(moved(pose, transform), square_lens(size), (size, size)) for pose in poses]
    found = f"built-in still life: {TRAIN} pictures to train, {TEST} to test, {size} x {size} pixels"
    where = f"box: {1 / float(transform[0, 0]):.3g} input units wide; cameras all around, +Z up"
    return Reading(
        name="builtin",
        source=data,
        pictures=pose_pictures(poses, cached(cameras, size), TRAIN),
        facts=(Fact("found", found),),
        placement=Placement(transform, box, (Fact("found", where),)),
    )


def picture_size(data: str, options: ReadOptions) -> int:
    """Pixels along a side that `data` and `options` ask for."""
    text = data.partition(":")[2] if ":" in data else str(SIZE)
    if not (text.isascii() and text.isdigit() and LEAST <= int(text[:9]) <= MOST):
        raise SceneError(f"{data}: wanted builtin or builtin:SIZE with {LEAST} to {MOST} pixels, found {text!r}")
    size = min(int(text) // options.downscale, options.max_resolution)
    if size < 8:
        raise SceneError(f"{data}: downscale {options.downscale} leaves {size} pixels; wanted at least 8")
    return size


@functools.cache
def placement() -> tuple[Tensor, Tensor]:
    """Transform (4, 4) float64 from input to scene units, and the box (2, 3) float32 in scene units."""
    low, high = still_life.build()[1]
    return fit_cube(low, high, (high - low) * MARGIN, np.eye(3))


def scatter(count: int, seed: int) -> np.ndarray:
    """Unit directions (count, 3) evenly from 8 degrees below the equator to 75 above it, each jittered by `seed`."""
    jitter = np.random.default_rng(seed).random((count, 2)) - 0.5
    share = (np.arange(count) + 0.5 + 0.7 * jitter[:, 0]) / count
    low, high = math.sin(math.radians(-8)), math.sin(math.radians(75))
    turn = np.arange(count) * math.pi * (3 - math.sqrt(5)) + 0.25 * jitter[:, 1]
    return aim(turn, np.arcsin(low + (high - low) * share))


def climb(count: int) -> np.ndarray:
    """Unit directions (count, 3) along two turns that climb from the table's height to 60 degrees above it."""
    share = (np.arange(count) + 0.5) / count
    return aim(4 * math.pi * share + 0.4, np.radians(2 + 58 * share))


def aim(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Unit directions (M, 3) at angles in radians (M,)."""
    flat = np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], -1)


def stand(back: np.ndarray) -> list[Tensor]:
    """Poses (4, 4) in input units that look at the middle of the box, from where nothing is ever cut off."""
    middle = still_life.build()[1].mean(0)
    reach = lambda edges: still_life.reach(edges) - edges @ middle  # noqa: E731
    return stand_around(back, torch.from_numpy(middle).float(), reach, MARGIN)


def draw_all(cameras: list[Camera], samples: int) -> np.ndarray:
    """Pictures (M, H, W, 4) uint8 of cameras of one size, on all cores."""
    width, height = cameras[0].size
    geometry, lights = still_life.build()[0], tracer.lights(samples)
    tables = [tabulate(camera) for camera in cameras]
    pictures = np.zeros((len(cameras), height, width, 4), np.uint8)

    def strip(job: tuple[int, int]) -> None:
        index, top = job
        tracer.strip(geometry, lights, tables[index], float(top), pictures[index, top : top + ROWS])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        strips = [(i, top) for i in range(len(cameras)) for top in range(0, height, ROWS)]
        list(told("drawing pictures", pool.map(strip, strips), len(strips)))
    return np.stack([filtered(picture) for picture in pictures])


def filtered(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 4) uint8 seen through the pixel filter of a camera: each pixel gives a quarter to either side,
    along rows and columns. Colours count by their alpha."""
    alpha = picture[..., 3:].astype(np.float32)
    values = np.concatenate([picture[..., :3] * (alpha / 255), alpha], -1)
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (padded.take(range(s, s + values.shape[axis]), axis) for s in (0, 2))
        values = values / 2 + (before + after) / 4
    colors = values[..., :3] * 255 / np.maximum(values[..., 3:], 1e-3)
    return np.concatenate([colors, values[..., 3:]], -1).round().clip(0, 255).astype(np.uint8)


def tabulate(camera: Camera) -> np.ndarray:
    """A camera (scene units) as the tracer reads it: (1, 16) float64 in input units."""
    lens = camera.intrinsics
    if lens.distorted:
        raise ValueError("the built-in scene is drawn by pinhole cameras only, found a lens with distortion")
    pose = moved(camera.pose, torch.linalg.inv(placement()[0])).double().numpy()
    return np.concatenate([pose[:3].T.ravel(), [lens.fx, lens.fy, lens.cx, lens.cy]])[None]


def cached(cameras: list[Camera], size: int) -> np.ndarray:
    """Pictures (M, size, size, 4) of cameras, from a cache folder where they lie there whole, else drawn."""
    seal = hashlib.sha256(tracer.sources())
    seal.update(repr((VERSION, SAMPLES, size)).encode())
    seal.update(np.stack([tabulate(camera) for camera in cameras]).tobytes())
    name = f"builtin-{size}-{seal.hexdigest()[:16]}.npz"
    for folder in cache_folders.candidates():
        # What is missing or damaged is drawn anew, and written over.
        with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            with (folder / name).open("rb") as file, np.load(file, allow_pickle=False) as archive:
                pictures = archive["pictures"]
            if pictures.dtype == np.uint8 and pictures.shape == (len(cameras), size, size, 4):
                return pictures
    pictures = draw_all(cameras, SAMPLES)
    any(store(folder / name, pictures) for folder in cache_folders.candidates())
    return pictures


def store(path: Path, pictures: np.ndarray) -> bool:
    """Write beside and rename. Whether it could: a folder that cannot be written costs only the time to draw again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez(file, pictures=pictures)
                file.close()
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError:
        return False
    return True
