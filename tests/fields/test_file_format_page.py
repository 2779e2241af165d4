"""docs/file-format.md names exactly what model files hold: entries of the header, tensors, limits."""

import json
import re
from dataclasses import fields as fields_of
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import fields
import polyfield
from fields import files
from fields.shape import preset

PAGE = (Path(__file__).parents[2] / "docs" / "file-format.md").read_text(encoding="utf-8")
SIZES = {"arch": "mlp", "preset": "tiny", "batch": 4096, "steps": 2}


def rows(begin: str, end: str = "\n#") -> list[list[str]]:
    """Cells of all table rows whose first one is code, between two texts of the page."""
    part = PAGE.partition(begin)[2]
    assert part, begin
    lines = part.split(end)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]


def named(begin: str, end: str = "\n#") -> set[str]:
    """The entries that these rows are about."""
    return {row[0].strip("`") for row in rows(begin, end)}


def header_of(path: Path) -> dict:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[files.KEY])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    polyfield.train("builtin:32", out=path, **SIZES).finish()
    return path


@pytest.fixture(scope="module")
def converted(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "model.safetensors"
    polyfield.convert(polyfield.open(trained), to="mlp", preset="small", batch=1024, steps=3, out=path).finish()
    return path


def test_the_header(trained):
    header = header_of(trained)
    usual = set(files.USUAL)
    assert named("\n## Header") - usual == header.keys()
    assert named("\n## Header") == {entry.name for entry in fields_of(files.Header)} | {"version"}
    assert named("\n### Cameras") == header["train_cameras"][0].keys() == header["test_cameras"][0].keys()
    before = "`recipe` of `train-scene`"
    assert named("\n### Provenance", before) == header["provenance"].keys() | {"teacher", "max_seconds"}
    assert named(before, "That of `convert-scene`") == header["provenance"]["recipe"].keys()
    assert named("\n### Metrics", "A conversion adds") == header["metrics"].keys()


def test_what_a_conversion_adds(trained, converted):
    ours, theirs = header_of(converted), header_of(trained)
    from_data = {"location", "max_seconds"}
    assert named("\n### Provenance", "`recipe` of `train-scene`") - from_data == ours["provenance"].keys()
    own = ours["provenance"]["recipe"].keys() - theirs["provenance"]["recipe"].keys()
    assert named("That of `convert-scene`") == own
    assert named("A conversion adds") == ours["metrics"].keys() - theirs["metrics"].keys()
    missing = theirs["metrics"].keys() - ours["metrics"].keys()
    assert missing == {"frame_samples_per_second"}  # as the page says


def table(name: str) -> dict[str, str]:
    """Tensors of a section, as `described` puts them."""
    found = {}
    for tensor, kind, shape in rows(f"\n### {name}\n"):
        numbers = tuple(int(n) for n in shape.split(","))
        found[tensor.strip("`")] = f"{kind} {numbers}"
    return found


@pytest.mark.parametrize("name", fields.NAMES)
def test_tensors_of_small(name):
    shape = preset(name, "small")
    with torch.device("meta"):
        wanted = {key: files.described(value) for key, value in files.stored(shape.outline()).items()}
    head = table("`radiance`, the head of all but voxels and cam") if shape.head == "radiance" else {}
    assert table(name) | head == wanted


def test_a_file_holds_nothing_else(trained):
    with safe_open(trained, "pt") as file:
        names = set(file.keys())
    assert {name for name in names if not name.startswith("weights.")} == {"occupancy"}


def test_the_order_of_the_occupancy_bits(trained):
    """By the page's words, against what the renderer's grid says."""
    model = polyfield.open(trained).loaded
    grid, side = model.grid, model.header.resolution
    bits = grid.bits[0].cpu()
    cells = torch.randint(side, (200, 3), generator=torch.Generator().manual_seed(0))
    i, j, k = cells.unbind(1)
    n = i + side * (j + side * k)
    by_page = (bits[n // 8] >> (n % 8)) & 1
    points = (cells + 0.5) / side
    low, high = grid.box
    inside = ((points >= low) & (points <= high)).all(1)
    assert bool((by_page.bool() == grid.contains(points))[inside].all())


def test_versions_and_limits():
    assert [row[0] for row in re.findall(r"^\| (\d) \| (?!no longer)", PAGE, re.MULTILINE)] == [
        str(version) for version in files.VERSIONS
    ]
    assert f"at most {files.LARGEST_HEADER >> 20} MiB" in PAGE
    assert f"at most {files.LARGEST_FILE >> 30} GiB" in PAGE
    voxels = preset("voxels", "small")
    assert {name for name in fields.NAMES if preset(name, "small").head != "radiance"} == {"voxels", "cam"}
    assert voxels.head == "harmonics"
