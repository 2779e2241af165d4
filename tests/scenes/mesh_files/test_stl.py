"""`.stl`: text and binary."""

import struct

import numpy as np
import pytest
import solids
from trimesh.exchange.stl import export_stl_ascii

from scenes.mesh_files.contents import contents
from scenes.options import SceneError


def test_text_and_binary_are_alike(tmp_path):
    text, binary = tmp_path / "t.stl", solids.saved(tmp_path, solids.brick(), "b.stl")
    text.write_text(export_stl_ascii(solids.brick()))
    for path in (text, binary):
        assert np.allclose(contents(path).parts[0].corners, solids.LONG[solids.CUBE_FACES])


def test_a_binary_file_may_begin_with_solid(tmp_path):
    path = solids.saved(tmp_path, solids.brick(), "b.stl")
    path.write_bytes(b"solid" + path.read_bytes()[5:])
    assert len(contents(path).parts[0].corners) == 12


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bytes(80) + struct.pack("<I", 0xFFFFFFFF) + bytes(50), "214748364834 bytes, as its header says: found 134"),
        (b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\n", "cut off or damaged after 2 corners"),
        (b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\nvertex a 0 1\n", "cannot be read as a .stl mesh"),
        (b"solid a\nfacet\nvertex 0 0 0\nvertex 1 0 0\nvertex nan 0 1\n", "1 of 1 faces have corners"),
        (b"solid a\nvertex\n", "cut off or damaged"),
        (bytes(84), "has no faces"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, content, words):
    path = tmp_path / "m.stl"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=words):
        contents(path)
