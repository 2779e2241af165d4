"""The readers, tried on one input: what they raise or give, and whether that is how a reader should end."""

import contextlib
import functools
import io
import random
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image

from fields.files import ModelError
from render.camera import CameraBank
from render.command import one_line
from scenes.options import ReadOptions, SceneError

from . import good_inputs, hostile
from .pool import Task

ENDS = (ValueError, OSError)  # SceneError and ModelError are the first
LONGEST = 300  # characters of a message
CPU = torch.device("cpu")
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect")

Seen = torch.Tensor | str  # numbers that must be finite, words that a terminal may show
Read = Callable[[Path], Iterator[Seen]]


def read_model(path: Path) -> Iterator[Seen]:
    """A model, drawn 8 x 8 from all of its cameras, and what inspect-scene says of it."""
    from render.model import open_model
    from render.paths import surrounding
    from scenes.inspection import show_model

    for as_json in (False, True):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            show_model(path, as_json=as_json)
        yield said.getvalue()
    model = open_model(path, CPU)
    yield from (model.bounds, model.transform, torch.tensor(model.unit))
    cameras = [*model.train_cameras, *model.test_cameras] or surrounding(model.grid.box)[:1]
    for camera in cameras[:3]:
        yield from (camera.pose, model.to_input(camera).pose)
        pixels = model.image(camera.resized(8, 8)).pixels
        yield from (pixels.over(torch.tensor(model.header.background)), pixels.depth)


def read_data(path: Path) -> Iterator[Seen]:
    """A data set as train-scene sets it up, and the samples of some of its rays."""
    from render.occupancy import OccupancyGrid, cascades_for, pack
    from scenes.assemble import load
    from scenes.placing.cells import possible_cells

    scene = load(str(path), ReadOptions())
    yield from (fact.text for fact in scene.facts)
    yield from (scene.box, scene.transform, scene.transform.float(), torch.tensor(scene.unit))
    grid = OccupancyGrid(pack(possible_cells(scene, cascades_for(scene.box), 64)), scene.box, 64)
    for view in (*scene.train, *scene.test):
        yield view.camera.pose
        small = view.camera.resized(min(8, view.camera.size[0]), min(8, view.camera.size[1]))
        rays = small.rays()
        yield from (rays.origins, rays.directions, CameraBank.of([view.camera]).lenses)
        yield grid.march(rays, 0.01, 0.0 if scene.transparent else 1 / 256).t


def read_mesh(path: Path) -> Iterator[Seen]:
    """A mesh, drawn small."""
    from scenes.assemble import load

    scene = load(str(path), ReadOptions(downscale=48))
    yield from (fact.text for fact in scene.facts)
    yield from (scene.box, scene.transform, torch.tensor(scene.unit))
    yield from (view.camera.pose for view in scene.train)


def read_path(path: Path) -> Iterator[Seen]:
    """A camera path, its first picture drawn."""
    from render.path_files import load

    model = opened_model()
    found = load(path, model.transform)
    for camera in found.cameras[:100]:
        yield camera.pose
    yield model.image(found.cameras[0].resized(8, 8)).pixels.rgb


def read_checkpoint(path: Path) -> Iterator[Seen]:
    """A run that goes on from a checkpoint, for a step."""
    from distill.learning.fit import Schedule

    run = good_inputs.run()
    run.load_checkpoint(path)
    camera = run.place.train[0].resized(8, 8)
    yield from (run.image(camera).pixels.rgb, torch.tensor(float(run.optimization.seconds)))
    if run.optimization.index < run.recipe.steps:
        next(iter(run.steps(Schedule(run.recipe.steps))))  # a run whose numbers go bad goes back, and ends if it must


@functools.cache
def opened_model():
    """A good model."""
    from render.model import open_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        path.write_bytes(good_inputs.model("hashgrid"))
        return open_model(path, CPU)


KINDS: dict[str, tuple[hostile.Make, Read, int]] = {  # maker, reader, how often
    "model header": (hostile.model_header, read_model, 6),
    "model numbers": (hostile.model_numbers, read_model, 8),
    "model config": (hostile.model_config, read_model, 5),
    "model cameras": (hostile.model_cameras, read_model, 6),
    "model words": (hostile.model_words, read_model, 4),
    "model text": (hostile.model_text, read_model, 2),
    "model tensors": (hostile.model_tensors, read_model, 6),
    "model occupancy": (hostile.model_occupancy, read_model, 4),
    "model file": (hostile.model_file, read_model, 4),
    "model sparse": (hostile.model_sparse, read_model, 1),
    "transforms.json": (functools.partial(hostile.data_json, "ngp"), read_data, 8),
    "transforms.json, nerfstudio": (functools.partial(hostile.data_json, "nerfstudio"), read_data, 8),
    "transforms.json, blender": (functools.partial(hostile.data_json, "blender"), read_data, 5),
    "lens": (hostile.data_lens, read_data, 8),
    "JSON text": (hostile.data_text, read_data, 5),
    "pictures": (hostile.pictures, read_data, 6),
    "masks": (hostile.masks, read_data, 4),
    **{
        f"mesh {kind}": (functools.partial(hostile.mesh, kind), read_mesh, 3)
        for kind in ("glb", "gltf", "obj", "mtl", "ply", "stl", "off")
    },
    "camera path": (functools.partial(hostile.camera_path, "ours"), read_path, 4),
    "camera path, nerfstudio": (functools.partial(hostile.camera_path, "nerfstudio"), read_path, 4),
    "checkpoint": (lambda folder, rng: hostile.checkpoint(good_inputs.checkpoint(), folder, rng), read_checkpoint, 5),
}


def drawn(count: int, seed: int) -> list[Task]:
    """Kinds and numbers of so many inputs, every kind among the first hundred and more."""
    every = [kind for kind, (_, _, often) in KINDS.items() for _ in range(often)]
    random.Random(seed).shuffle(every)
    return [(every[n % len(every)], n) for n in range(count)]


def prepare(seed: int, keep: str, task: Task, folder: Path) -> Callable[[], str]:
    """Write an input; gives what tries it. What its reader needs is compiled and made before."""
    kind, number = task
    make, read, _ = KINDS[kind]
    warmed(kind)
    path = make(Path(keep) if keep else folder, random.Random(f"{seed} {kind} {number}"))
    watch()
    return lambda: fault(read, path)


@functools.cache
def warmed(kind: str) -> None:
    """Read good inputs of a kind."""
    read = KINDS[kind][1]
    for make in good_makers(kind):
        with tempfile.TemporaryDirectory() as folder:
            if said := fault(read, make(Path(folder)), limited=False):
                raise AssertionError(f"a good input, {kind}: {said}")


@functools.cache
def good_makers(kind: str) -> list[Callable[[Path], Path]]:
    """What writes the good inputs that those of a kind are made of."""
    name, _, form = kind.partition(" ")
    if name == "model":
        return [functools.partial(good_model, one) for one in good_inputs.VARIANTS]
    if name == "mesh":
        return [lambda folder: good_inputs.mesh(folder, form)]
    if name == "camera":
        content = good_inputs.camera_path("nerfstudio" if "nerfstudio" in form else "ours")
        return [lambda folder: good_json(folder, {"path.json": content}) / "path.json"]
    if name == "checkpoint":
        return [lambda folder: hostile.put(folder, "checkpoint.safetensors", good_inputs.checkpoint())]
    form = "blender" if "blender" in form else "nerfstudio" if "nerf" in form or name == "masks" else "ngp"
    return [lambda folder: good_json(folder, good_inputs.data_set(folder, form))]


def good_model(variant: str, folder: Path) -> Path:
    """A model file."""
    return hostile.put(folder, "m.safetensors", good_inputs.model(variant))


def good_json(folder: Path, files: dict[str, good_inputs.Json]) -> Path:
    """JSON files in a folder."""
    for name, content in files.items():
        hostile.put(folder, name, hostile.nasty.written(content).encode())
    return folder


TOLD: list[str] = []  # what Python was about to do that no reader may


@functools.cache
def watch() -> None:
    """From now on see what is started."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in FORBIDDEN:
            TOLD.append(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)


def fault(read: Read, path: Path, *, limited: bool = True) -> str:
    """Why the input was mishandled, on one line; empty where it was not."""
    TOLD.clear()
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as heard, contextlib.redirect_stderr(said):
        warnings.simplefilter("always")
        found = judged(read, path, limited)
    if TOLD:
        return f"starts something: {TOLD[0]}"
    if not found and heard:
        where = f"{Path(heard[0].filename).name}:{heard[0].lineno}"
        return f"warns at {where}: {' '.join(str(heard[0].message).split())}"
    return found or (f"writes to standard error: {said.getvalue()[:100]!r}" if said.getvalue() else "")


def judged(read: Read, path: Path, limited: bool) -> str:
    """The same, of what is raised and given."""
    try:
        for seen in read(path):
            if isinstance(seen, str):
                if odd := unprintable(seen):
                    return f"would show {odd!r} in {seen[:80]!r}"
            elif not bool(torch.isfinite(seen).all()):
                return f"gives numbers that are not finite, {tuple(seen.shape)}"
    except ENDS as error:
        return judged_message(error, path) if limited else f"{type(error).__name__}: {error}"
    except BaseException as error:
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
        return f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:150]}"
    return ""


def judged_message(error: BaseException, path: Path) -> str:
    """What is wrong with a message."""
    kinds = (SceneError, ModelError, OSError)
    text = one_line(error)  # type: ignore[arg-type]
    base = path if path.is_dir() else path.parent
    if odd := unprintable(text):
        return f"says {odd!r} in {text[:100]!r}"
    if "\n" in text or not 0 < len(text) <= LONGEST:
        return f"says {len(text)} characters: {text[:200]!r}"
    if str(base) not in text:
        return f"does not name the file: {type(error).__name__} {text!r}"
    assert isinstance(error, (*kinds, ValueError))
    return ""


def unprintable(text: str) -> str:
    """The first character that a terminal would obey, or that turns writing round; empty for none."""
    return next((c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"), "")


Image.init()
