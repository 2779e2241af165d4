"""What a mesh is, for a person who has not trained on it: triangles, holes, size, colours, without a picture drawn."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scenes.drawn.triangles import places
from scenes.mesh_files.part import Part
from scenes.scene import Fact


@dataclass(frozen=True)
class MeshSummary:
    """A mesh in numbers. Corners in the same place are one."""

    name: str
    triangles: int  # those that have an area
    parts: int  # of one material each
    low: tuple[float, float, float]  # corner of what is drawn, in the file's own axes and units
    high: tuple[float, float, float]
    watertight: bool  # every edge has two triangles
    open_edges: int  # that have one triangle
    holes: int  # what the open edges bound, in pieces that hang together
    crowded_edges: int  # that have more than two triangles
    textures: tuple[tuple[int, int], ...]  # width and height in pixels
    facts: tuple[str, ...]

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line of a table."""
        size = [high - low for low, high in zip(self.low, self.high, strict=True)]
        yield "triangles", f"{self.triangles} in {self.parts} parts"
        yield "size", f"{' x '.join(f'{one:.4g}' for one in size)}, along x, y and z of the file"
        yield "box", f"{' '.join(f'{x:.4g}' for x in self.low)}  to  {' '.join(f'{x:.4g}' for x in self.high)}"
        yield "holes", self.closed()
        yield "textures", ", ".join(f"{w} x {h}" for w, h in self.textures) or "none"
        for k, fact in enumerate(self.facts):
            yield "found" if k == 0 else "", fact

    def closed(self) -> str:
        """Whether it is closed, in words."""
        if self.watertight:
            return "none, every edge has two triangles: watertight"
        crowded = f"{self.crowded_edges} edges have more than two triangles" if self.crowded_edges else ""
        holes = (
            f"{self.holes}, bounded by {self.open_edges} edges that have one triangle" if self.open_edges else "none"
        )
        return "; ".join(words for words in (holes, crowded) if words)

    def to_record(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": "mesh", **asdict(self)}


def summarise(name: str, found: list[Part], solid: list[Part], facts: tuple[Fact, ...]) -> MeshSummary:
    """The summary of what a file holds, `solid` without triangles that have no area. These still close what they touch,
    where their corners lie apart."""
    points = np.concatenate([part.corners for part in solid]).reshape(-1, 3)
    first, last, counts = edges(np.concatenate([part.corners for part in found]))
    alone = counts == 1
    pictures = {id(part.picture): part.picture for part in solid if part.picture is not None}
    return MeshSummary(
        name=name,
        triangles=len(points) // 3,
        parts=len(solid),
        low=tuple(points.min(0).tolist()),
        high=tuple(points.max(0).tolist()),
        watertight=bool((counts == 2).all()),
        open_edges=int(alone.sum()),
        holes=count_pieces(first[alone], last[alone]),
        crowded_edges=int((counts > 2).sum()),
        textures=tuple(picture.size for picture in pictures.values()),
        facts=tuple(fact.text for fact in facts),
    )


def edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of triangles (T, 3, 3): the places (E,), (E,) of their ends, and how many triangles (E,) have each."""
    place = places(corners.reshape(-1, 3)).reshape(-1, 3)
    place = place[(place != np.roll(place, 1, 1)).all(1)]
    ends = np.sort(np.stack([place, np.roll(place, -1, 1)], -1).reshape(-1, 2), axis=1)
    count = int(place.max(initial=0)) + 1
    keys, counts = np.unique(ends[:, 0] * count + ends[:, 1], return_counts=True)
    return keys // count, keys % count, counts


def count_pieces(first: np.ndarray, last: np.ndarray) -> int:
    """Into how many pieces edges between places (E,), (E,) fall."""
    names, flat = np.unique(np.concatenate([first, last]), return_inverse=True)
    a, b = flat[: len(first)], flat[len(first) :]
    label = np.arange(len(names))
    while True:  # every round, the larger label of an edge hangs itself below the smaller, and chains halve
        low, high = np.minimum(label[a], label[b]), np.maximum(label[a], label[b])
        if (low == high).all():
            return len(np.unique(label))
        np.minimum.at(label, high, low)
        while not np.array_equal(label, label[label]):
            label = label[label]
