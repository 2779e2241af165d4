"""Peers on the CPU in the same run: OpenSplat and TensoRF, fetched and built outside of the project, beside ours. The
same pictures, the same seconds, one after the other in turn, each in a process of its own, and one scorer."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from distill.bench import opensplat, tensorf
from distill.bench.judge import PeerFigures, judge_pictures
from distill.bench.process import run_command
from distill.bench.results import Failure, condense, tabulate, write_number
from distill.bench.splats import draw_splats, read_splats
from fields.programs import program
from render.metrics import Protocol
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.scene import Scene

OURS = "ours"


@dataclass(frozen=True)
class CpuPlan:
    """What is compared."""

    data: str
    downscale: int
    architecture: str  # ours
    preset: str
    durations: tuple[float, ...]  # s of learning, each of which everybody gets in turn
    program: Path | None  # OpenSplat's; None: that on PATH
    checkout: Path | None  # TensoRF's


@dataclass(frozen=True)
class Turn:
    """What somebody made of the seconds."""

    who: str
    asked: float  # s
    found: PeerFigures | Failure

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"who": self.who, "asked_seconds": self.asked} | self.found.to_record()


@dataclass(frozen=True)
class CpuComparison:
    """Everybody's turns, in their order."""

    plan: CpuPlan
    scored_on: str
    turns: tuple[Turn, ...]
    missing: tuple[str, ...]  # one line of each peer that is not at hand

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "peer": "cpu",
            "data": self.plan.data,
            "architecture": self.plan.architecture,
            "preset": self.plan.preset,
            "scored_on": self.scored_on,
            "turns": [turn.to_record() for turn in self.turns],
            "missing": list(self.missing),
        }

    def ours(self, turn: Turn) -> PeerFigures | None:
        """Our figures of the same seconds."""
        same = [t.found for t in self.turns if t.who == OURS and t.asked == turn.asked]
        return same[0] if same and isinstance(same[0], PeerFigures) else None

    def to_table(self) -> Table:
        """For a person."""

        def show(figure: Callable[[PeerFigures], float], shape: str) -> Callable[[Turn], str]:
            return lambda turn: format(figure(turn.found), shape) if isinstance(turn.found, PeerFigures) else ""

        def compare(figure: Callable[[PeerFigures, PeerFigures], float], shape: str) -> Callable[[Turn], str]:
            def cell(turn: Turn) -> str:
                ours, found = self.ours(turn), turn.found
                return write_number(figure(found, ours), shape) if ours and isinstance(found, PeerFigures) else ""

            return cell

        columns: dict[str, Callable[[Turn], str]] = {
            "who": lambda turn: turn.who,
            "s": lambda turn: f"{turn.asked:g}",
            "steps": show(lambda found: found.steps, ","),
            "dB": show(lambda found: found.psnr, ".2f"),
            "to ours": compare(lambda found, ours: found.psnr - ours.psnr, "+.2f"),
            "ms/frame": show(lambda found: found.frame_ms, ",.0f"),
            "of ours": compare(lambda found, ours: found.frame_ms / ours.frame_ms, ".2f"),
            "MB": show(lambda found: found.model_bytes / 1e6, ".1f"),
            "GB memory": show(lambda found: found.peak_memory_bytes / 1e9, ".2f"),
            "failed": lambda turn: turn.found.reason if isinstance(turn.found, Failure) else "",
        }
        lines = (self.scored_on, "OpenSplat's frames are drawn by our own code from its file", *self.missing)
        return condense(tabulate(f"{Path(self.plan.data).name}, CPU", columns, self.turns, "\n".join(lines)))


def compare_on_cpu(plan: CpuPlan, console: Console) -> CpuComparison:
    """Everybody's turns. ValueError where no peer is at hand, or the pictures are none that they can be given."""
    program, checkout = opensplat.find_program(plan.program), tensorf.find_checkout(plan.checkout)
    missing = tuple(found.reason for found in (program, checkout) if isinstance(found, Failure))
    if len(missing) == 2:
        raise ValueError("no peer is at hand: " + "; ".join(missing))
    scene, turns = load(plan.data, ReadOptions(plan.downscale)), list[Turn]()
    if not scene.test:
        raise ValueError(f"{plan.data}: has no test pictures to score everybody on")
    takers: dict[str, Callable[[float, Path], PeerFigures | Failure]]
    takers = {OURS: lambda seconds, folder: train_ours(plan, seconds, folder, console)}
    if isinstance(program, Path):
        takers["OpenSplat"] = lambda seconds, folder: train_opensplat(program, scene, seconds, folder)
    if isinstance(checkout, Path):
        takers["TensoRF"] = lambda seconds, folder: train_tensorf(checkout, plan, seconds, folder)
    for line in missing:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for seconds in plan.durations:
        for who, take in takers.items():
            with tempfile.TemporaryDirectory() as folder:
                begin = time.perf_counter()
                turns.append(Turn(who, seconds, take(seconds, Path(folder))))
            told = f"{who}: {seconds:g} s of learning, {time.perf_counter() - begin:.0f} s in all"
            console.print(told, highlight=False, markup=False)
    size = scene.test[0].camera.size
    protocol = Protocol("test", scene.background, size, len(scene.test), plan.downscale)
    return CpuComparison(plan, str(protocol), tuple(turns), missing)


def train_ours(plan: CpuPlan, seconds: float, folder: Path, console: Console) -> PeerFigures | Failure:
    """As `train-scene` does."""
    flags = {"--arch": plan.architecture, "--preset": plan.preset, "--max-seconds": seconds, "--device": "cpu"}
    flags |= {"--downscale": plan.downscale, "--out": folder}
    words = [plan.data, *(str(word) for pair in flags.items() for word in pair)]
    found = run_command("distill.train_scene", words, folder / "log.jsonl", seconds, console)
    if isinstance(found, Failure):
        return found
    took, psnr = found.effort, round(found.quality.psnr, 3)
    return PeerFigures(took.seconds, took.steps, psnr, found.frame_ms, took.model_bytes, took.peak_memory_bytes)


def train_opensplat(program: Path, scene: Scene, seconds: float, folder: Path) -> PeerFigures | Failure:
    """Its program, and its splats scored by us. Its own time for a frame is not to be had from outside."""
    trained = opensplat.train_splats(program, scene, seconds, folder)
    if isinstance(trained, Failure):
        return trained
    splats, background = read_splats(trained.file), torch.tensor(scene.background)
    psnr, frame_ms = judge_pictures(scene, lambda camera: draw_splats(splats, camera, background))
    size = trained.file.stat().st_size
    return PeerFigures(trained.seconds, trained.steps, psnr, frame_ms, size, trained.peak_memory_bytes)


def train_tensorf(checkout: Path, plan: CpuPlan, seconds: float, folder: Path) -> PeerFigures | Failure:
    """Its model in a process of its own, see distill/bench/tensorf.py."""
    told = tensorf.TensorfPlan(str(checkout.resolve()), plan.data, plan.downscale, seconds, str(folder / "model.th"))
    words = program("distill.bench.tensorf", json.dumps(asdict(told)))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return Failure((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:300])
    return PeerFigures(**json.loads(done.stdout.splitlines()[-1]))
