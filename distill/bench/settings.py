"""What is measured. Nothing heavy is imported: flags are made of it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class BenchSettings:
    """Measure. Without anything that says what: --ops, --train and --frames."""

    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = "builtin"
    """data set, for all but --ops"""
    ops: bool = False
    """each op against its PyTorch reference, and whole fields; bytes a second beside those of a plain copy"""
    train: bool = False
    """whole training steps; on a CPU split into their parts, beside what this machine can do at most"""
    frames: bool = False
    """whole frames of the model that --train's steps gave"""
    curve: bool = False
    """how long training takes to 30, 33 and 35 dB on the held-out views"""
    curve_steps: int = 0
    """of --curve; 0: 1300 on CPU, 20000 on CUDA, no limit where --max-seconds is given"""
    max_seconds: float = math.inf
    """training time of --curve at most; the learning rate falls accordingly"""
    views: int = 25
    """held-out views that --curve scores, at most"""
    engine: Literal["own", "nvidia"] = "own"
    """what --train, --frames and --curve measure; nvidia: tinycudann's encoding and networks, nerfacc's marching and
    compositing, behind the same training loop, where they are installed"""
    against: Literal["", "nvidia", "cpu"] = ""
    """measure peers in the same run: nvidia: tinycudann's networks and nerfacc's marching, where they are installed;
    cpu: OpenSplat and TensoRF, those that are at hand, for each of --durations"""
    durations: tuple[float, ...] = (60.0, 120.0)
    """for --against cpu: seconds of learning that everybody gets, in turn"""
    opensplat: Path | None = None
    """for --against cpu: OpenSplat's program; without it the one on PATH"""
    tensorf: Path | None = None
    """for --against cpu: a checkout of TensoRF"""
    gpu_report: bool = False
    """on a GPU: check all kernels, time everything, and print what was asked for beside what was reached"""
    architectures: bool = False
    """train every architecture on DATA for --seconds each: table, JSON and Pareto plot"""
    distill: bool = False
    """convert every architecture into every other, as trained on DATA: matrix, JSON and heat maps"""
    ablation: bool = False
    """with --distill: convert the first of --only into the second with and without the parts of the method"""
    only: tuple[str, ...] = ()
    """for --architectures and --distill: NAME or NAME:PRESET, several; without it, all of the device's usual size. For
    --gpu-report: names of its parts"""
    seconds: float = 300.0
    """for --architectures and for the teachers of --distill: training time of each"""
    convert_seconds: float = 60.0
    """for --distill: time of each conversion"""
    teachers: Path | None = None
    """for --distill: folder with NAME-PRESET/model.safetensors, as --architectures leaves them; only those that are
    missing are trained, there; without it all are, in OUT/teachers"""
    resume: bool = False
    """for --distill: keep the teachers and conversions that OUT holds already"""
    repeats: int = 7
    """of every measurement, 3 or more; the median counts"""
    steps: int = 150
    """training steps; the first third is not counted"""
    points: int = 1 << 17
    """of each op on points"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    arch: str = "hashgrid"
    """architecture for --train and --frames"""
    preset: str = "auto"
    """its size"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """JSON file for the results; for --architectures and --distill a folder (runs/architectures, runs/distill)"""
    json: bool = False
    """print the results as JSON, and nothing else, on standard output"""

    def check(self) -> None:
        """ValueError for a flag out of range."""
        if not self.seconds > 0:
            raise ValueError(f"--seconds must be > 0, found {self.seconds}")
        if not self.durations or not all(0 < one < math.inf for one in self.durations):
            raise ValueError(f"--durations must be > 0, one or more, found {self.durations}")
        if not self.convert_seconds > 0:
            raise ValueError(f"--convert-seconds must be > 0, found {self.convert_seconds}")
        if not self.distill and (self.ablation or self.teachers or self.resume):
            raise ValueError("--ablation, --teachers and --resume are for --distill, which is not given")
        if self.distill and self.architectures:
            raise ValueError("--architectures and --distill are two runs; --teachers takes what the first one leaves")
        if self.repeats < 3 or self.steps < 30 or self.points < 1:
            raise ValueError("--repeats must be 3 or more, --steps 30 or more, --points 1 or more")
        if self.curve_steps < 0 or not self.max_seconds > 0 or self.views < 1:
            raise ValueError("--curve-steps must be 0 or more, --max-seconds > 0, --views 1 or more")
