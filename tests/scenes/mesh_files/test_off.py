"""`.off`: polygons, headers of all kinds, sizes that cannot be."""

import numpy as np
import pytest

from scenes.mesh_files.contents import contents
from scenes.options import SceneError

U = "0 0 0\n3 0 0\n3 3 0\n2 3 0\n2 1 0\n1 1 0\n1 3 0\n0 3 0\n"


@pytest.mark.parametrize(
    "head", ["OFF\n8 1 0\n", "OFF 8 1 0\n", "# by hand\nOFF # text\n\n8 1\n", "COFF\n8 1 0\n", "NOFF 8 1 8\n"]
)
@pytest.mark.parametrize("face", ["8 0 1 2 3 4 5 6 7\n", "8 7 6 5 4 3 2 1 0  0.5 0.5 0.5\n"])
def test_concave_polygons(tmp_path, head, face):
    path = tmp_path / "m.off"
    path.write_text(head + U + face)
    (part,) = contents(path).parts
    edges = part.corners[:, 1:] - part.corners[:, :1]
    assert np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2 == pytest.approx(7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"OFF\n8 1 0\n{U}9 0 1 2\n", "a face of 9 corners names 3"),
        (f"OFF\n8 1 0\n{U}3 0 1 8\n", "a face names vertex 8, of 8 from 0 on"),
        (f"OFF\n8 1 0\n{U}3 0 1 -1\n", "a face names vertex -1"),
        (f"OFF\n8 1000000000000 0\n{U}3 0 1 2\n", "is cut off: wanted 8 vertices and 1000000000000 faces"),
        (f"OFF\n-8 1 0\n{U}3 0 1 2\n", "it names -8 vertices"),
        (f"OFF\nmany 1 0\n{U}3 0 1 2\n", "wanted its numbers of vertices and faces, found 'many 1 0'"),
        (f"OFF\n8 1 0\n{U}three 0 1 2\n", "cannot be read as a .off mesh"),
        (f"OFF\n8 1 0\n{U}3 0 1 99999999999999999999\n", "cannot be read as a .off mesh"),
        (f"OFF\n8 0 0\n{U}", "has no faces"),
        (f"4OFF\n8 1 0\n{U}3 0 1 2\n", "begins with OFF"),
        (f"OFF\n8 1 0\nnan 0 0\n{U[6:]}3 0 1 2\n", "1 of 1 faces have corners that are not finite"),
        ("OFF", "wanted its numbers of vertices and faces"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, text, words):
    path = tmp_path / "m.off"
    path.write_text(text)
    with pytest.raises(SceneError) as caught:
        contents(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert words in said
    assert "\n" not in said
