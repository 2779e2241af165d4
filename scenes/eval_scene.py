"""`eval-scene MODEL [DATA]`: metrics of a model on photographs, with the protocol they were taken under."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from fields.numbers import printable
from render.command import announce, require_path, run
from scenes.naming import require_named
from scenes.options import Axis, Poses, ReadOptions

if TYPE_CHECKING:
    from render.model import LoadedModel

EXAMPLES = """
  eval-scene chair.safetensors                       on what it was trained on, where that is built in
  eval-scene chair.safetensors captures/chair        on the test pictures of a data set
  eval-scene chair.safetensors captures/chair --json > scores.json
"""


@dataclass(frozen=True)
class Flags:
    """Score a model against photographs. Without DATA: what the model was trained on, where that is built in."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """model file"""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = ""
    """data set, as for train-scene"""
    split: Literal["test", "train"] = "test"
    """which photographs"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="OUT")] = None
    """folder for metrics.json, test_sheet.png and images; beside the model where not given: eval, of NAME.safetensors
    NAME_eval"""
    downscale: int = 1
    """divide the pictures' width and height by this"""
    max_resolution: int = 1920
    """longest side of the pictures in pixels"""
    skip_missing: bool = False
    """go on without pictures that are missing"""
    poses: Poses = "auto"
    """how poses are written; auto: as the format has it, refused where the pictures disagree; w2c: world to camera"""
    up: Axis = "auto"
    """axis of a mesh that is up; auto: as its format or the program that wrote it has it, else z"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute"""
    json: bool = False
    """print the metrics as JSON, and nothing else, on standard output"""


def main() -> None:
    """Entry point."""
    run(Flags, evaluate, EXAMPLES)


def evaluate(flags: Flags) -> None:
    """Open both, draw every view, score, write."""
    require_path(flags.model)
    require_named(flags.data, "a data set or a mesh")
    announce(f"reading {flags.model}")
    from fields.files import sweep, write_beside, write_json
    from render.device import pick_device
    from render.model import open_model
    from render.pictures import encode_png
    from scenes.assemble import load
    from scenes.evaluate import Scored, median_frame_ms, score_views, summarise
    from scenes.scene import carry_views
    from scenes.sheet import save_sheet

    console = Console(stderr=flags.json)
    model = open_model(flags.model, pick_device(flags.device))
    scene = load(flags.data or trained_on(model, flags), options(flags))
    views = carry_views(scene, model.transform, flags.split)
    out = flags.out or choose_out(flags.model)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; --out wants a folder")
    for folder in (out, out / "images"):
        sweep(folder)
    scores: list[Scored] = []
    background = scene.background
    with Progress(BarColumn(), TextColumn("scoring {task.completed} of {task.total} views"), console=console) as bar:
        task = bar.add_task("", total=len(views))
        for one in score_views(views, background, model.image):
            write_beside(out / "images" / picture_name(one.view.name), encode_png(one.render))
            scores.append(one)
            bar.advance(task)
    result = summarise(scores, background, flags.split, flags.downscale)
    record = result.to_record() | {"frame_ms_median": median_frame_ms(scores)}
    write_json(out / "metrics.json", record)
    save_sheet(out / "test_sheet.png", scores)
    if flags.json:
        sys.stdout.write(json.dumps(record, allow_nan=False) + "\n")
        return
    table = Table("view", "PSNR", "SSIM", title=str(result.protocol))
    for s in result.scores:
        table.add_row(escape(printable(s.name)), f"{s.psnr:.2f}", f"{s.ssim:.4f}")
    table.add_row("mean", f"{result.psnr:.2f}", f"{result.ssim:.4f}", style="bold")
    console.print(table)
    console.print(f"wrote {out}", highlight=False, markup=False, soft_wrap=True)


def choose_out(model: Path) -> Path:
    """Beside the model; of models that share a folder each in its own."""
    return model.parent / ("eval" if model.name == "model.safetensors" else f"{model.stem}_eval")


def options(flags: Flags) -> ReadOptions:
    """How to read the pictures."""
    return ReadOptions(flags.downscale, flags.max_resolution, flags.skip_missing, flags.poses, flags.up)


def trained_on(model: "LoadedModel", flags: Flags) -> str:
    """The built-in scene that a model was trained on. ValueError where it was another."""
    data: Any = model.header.provenance
    for key in ("recipe", "data"):
        data = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, str) or not data.startswith("builtin"):
        found = printable(str(data or "unknown data"), 100)
        raise ValueError(f"{flags.model}: was trained on {found}, not the built-in scene: give DATA")
    return data


def picture_name(name: str) -> str:
    """The file of a view's rendering. Folders are part of it: pictures of two folders may share their file names. A
    drive's colon is not: Windows would write into a stream of a file."""
    parts = PurePosixPath(name).with_suffix("").parts
    return "_".join(part.replace(":", "") for part in parts if part not in ("/", "..")) + ".png"


if __name__ == "__main__":
    main()
