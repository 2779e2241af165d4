"""OpenSplat beside ours: the scene written as its program reads it, the program run for given seconds, and the splats
that it leaves."""

import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from distill.bench.results import Failure
from distill.learning.memory import in_bytes
from render.occupancy import RESOLUTION, OccupancyEstimate, cascades_for
from render.pictures import encode_png
from scenes.evaluate import over_background
from scenes.placing.cells import possible_cells
from scenes.scene import Scene

PROGRAM = "opensplat"
NOTHING = (0.6130, 0.0101, 0.3984)  # RGB that it takes for empty space, and learns nothing for
POINTS = 10_000  # to begin with
SAVED = 25  # steps between files: what a run that is ended loses
SIDE = 200  # pixels: it first learns from smaller pictures, but not from smaller ones than these
WHERE = "OpenSplat: built for the CPU from github.com/pierotofy/OpenSplat, on PATH or named by --opensplat FILE"


@dataclass(frozen=True)
class Trained:
    """What a peer's process left."""

    file: Path
    steps: int
    seconds: float
    peak_memory_bytes: int


def find_program(given: Path | None) -> Path | Failure:
    """The program that was named, else that on PATH."""
    found = shutil.which(str(given or PROGRAM))
    return Path(found) if found else Failure(f"{given}: no such program; {WHERE}" if given else f"not found; {WHERE}")


def write_project(scene: Scene, folder: Path) -> None:
    """The training views as nerfstudio lays them out, in scene units, with points to begin with. Where pictures have
    empty parts, they lie over the colour that the program takes for nothing, and points lie inside of the silhouettes:
    what our training knows too. ValueError for a lens that is no pinhole."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    nothing, frames = torch.tensor(NOTHING), []
    for number, view in enumerate(scene.train):
        lens, (width, height) = view.camera.intrinsics, view.camera.size
        if lens.distorted:
            raise ValueError(f"{view.name}: OpenSplat is compared on pinhole pictures, this lens is distorted")
        name = f"images/{number:05d}.png"
        (folder / name).write_bytes(encode_png(over_background(view.image, nothing)))
        sizes = {"w": width, "h": height, "fl_x": lens.fx, "fl_y": lens.fy, "cx": lens.cx, "cy": lens.cy}
        frames.append({"file_path": name, "transform_matrix": view.camera.pose.tolist()} | sizes)
    record = {"camera_model": "OPENCV", "ply_file_path": "points.ply", "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "points.ply").write_bytes(encode_points(choose_points(scene)))


def choose_points(scene: Scene) -> Tensor:
    """(POINTS, 3) scene units, at random where the pictures say that something may be."""
    generator = torch.Generator().manual_seed(0)
    possible = possible_cells(scene, cascades_for(scene.box), RESOLUTION)
    occupancy = OccupancyEstimate(scene.box, 1.0, possible)
    cells = occupancy.allowed[torch.randint(len(occupancy.allowed), (POINTS,), generator=generator)]
    count = occupancy.values.shape[1]
    return occupancy.centers(cells // count, cells % count, torch.rand(POINTS, 3, generator=generator))


def encode_points(points: Tensor) -> bytes:
    """Grey points (N, 3) as a PLY file."""
    kind = np.dtype([(name, "<f4") for name in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")])
    rows = np.full(len(points), 128, kind)
    for axis, name in enumerate("xyz"):
        rows[name] = points[:, axis].numpy()
    types = [f"property {'float' if name in 'xyz' else 'uchar'} {name}" for name in kind.names or ()]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *types, "end_header"]
    return "".join(f"{line}\n" for line in head).encode() + rows.tobytes()


def train_splats(program: Path, scene: Scene, seconds: float, folder: Path) -> Trained | Failure:
    """Splats after so many seconds of steps, reading the pictures not counted: with the program's own settings, but
    that small pictures are not shrunk further."""
    write_project(scene, folder)
    side = max(scene.train[0].camera.size)
    halvings = max(0, min(2, int(math.log2(max(side / SIDE, 1)))))
    words = ["--cpu", "--keep-crs", "--output", "splat.ply", "--save-every", SAVED, "--num-downscales", halvings]
    command = [str(part) for part in (program.resolve(), folder.resolve(), *words)]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        written, steps, spent, last = follow_steps(process.stdout, seconds)
        peak = end_process(process)
    if not written:
        return Failure(f"wrote no splats within {seconds:g} s: {last}")
    return Trained(folder / written, steps, round(spent, 2), peak)


def end_process(process: subprocess.Popen) -> int:
    """Kill it; the most bytes that it has held."""
    if os.name == "nt":
        peak = psutil.Process(process.pid).memory_info().peak_wset  # pyright: ignore[reportAttributeAccessIssue]
        process.kill()
        return peak
    os.kill(process.pid, signal.SIGKILL)  # not process.kill: that may wait for it, and then nobody tells its memory
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return in_bytes(usage.ru_maxrss)


def follow_steps(printed: Iterable[str], seconds: float) -> tuple[Path | None, int, float, str]:
    """What was written last within so many seconds from the first step on, behind how many steps and seconds that was,
    and the last line."""
    begin, step, line = math.inf, 0, ""
    written: tuple[Path | None, int, float] = (None, 0, 0.0)
    for line in printed:
        now = time.perf_counter()
        if line.startswith("Step "):
            begin, step = min(begin, now), int(line.split()[1].rstrip(":"))
        if line.startswith("Wrote "):
            written = Path(line.removeprefix("Wrote ").strip()), step, now - begin
        if now - begin > seconds:
            break
    return written[0], written[1], written[2], line.strip()
