"""What is said of a mesh without drawing it: holes, edges, sizes, textures."""

import numpy as np
import pytest
import solids

from scenes.mesh_files.contents import contents, solid
from scenes.mesh_files.summary import count_pieces, summarise


def summary(folder, faces, points=solids.LONG):
    """Of an .obj file with these faces."""
    path = folder / "m.obj"
    rows = ["v {} {} {}".format(*point) for point in np.asarray(points).tolist()]
    path.write_text("\n".join([*rows, *("f " + " ".join(str(i + 1) for i in face) for face in faces)]))
    found = contents(path)
    return summarise("m", found.parts, solid(path, found.parts)[0], ())


def test_a_closed_brick(tmp_path):
    found = summary(tmp_path, solids.CUBE_FACES)
    assert (found.triangles, found.parts, found.watertight) == (12, 1, True)
    assert (found.open_edges, found.holes, found.crowded_edges) == (0, 0, 0)
    assert (found.low, found.high) == ((10, 20, 30), (11, 22, 34))
    assert dict(found.rows())["size"] == "1 x 2 x 4, along x, y and z of the file"
    assert "watertight" in dict(found.rows())["holes"]
    assert dict(found.rows())["textures"] == "none"


def test_holes_are_counted_by_the_piece(tmp_path):
    found = summary(tmp_path, [*solids.CUBE_FACES[2:6], *solids.CUBE_FACES[7:]])  # without one end, and more
    assert (found.watertight, found.open_edges, found.holes) == (False, 5, 1)
    found = summary(tmp_path, solids.CUBE_FACES[4:])  # without both ends
    assert (found.open_edges, found.holes) == (8, 2)
    assert dict(found.rows())["holes"] == "2, bounded by 8 edges that have one triangle"


def test_edges_with_more_than_two_triangles(tmp_path):
    found = summary(tmp_path, [*solids.CUBE_FACES, [0, 1, 7]])
    assert (found.watertight, found.crowded_edges) == (False, 2)
    assert "2 edges have more than two triangles" in dict(found.rows())["holes"]


def test_corners_in_one_place_are_one(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "m.stl")
    found = contents(path)
    assert summarise("m", found.parts, found.parts, ()).watertight


def test_triangles_without_area_close_what_they_touch(tmp_path):
    """A corner on a neighbour's edge, sewn in by a triangle without area."""
    points = [(0, 0, 0), (2, 0, 0), (1, 0, 0), (1, 1, 0), (1, -1, 0)]
    found = summary(tmp_path, [(0, 2, 3), (2, 1, 3), (1, 0, 4), (0, 1, 2)], points)
    assert found.triangles == 3
    assert found.open_edges == 4


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_pieces(count):
    first = np.arange(3 * count)
    last = np.where(first % 3 == 2, first - 2, first + 1)  # triangles
    assert count_pieces(first, last) == count
    chain = np.random.default_rng(0).permutation(count + 1)
    assert count_pieces(chain[:-1], chain[1:]) == min(count, 1)
