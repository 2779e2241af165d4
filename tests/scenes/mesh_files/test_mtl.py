"""`.mtl`: options of map_Kd, and lines that are damaged."""

import numpy as np
import pytest

from scenes.mesh_files.mtl import Material, parse

UV = np.array([[0.0, 0.0], [1.0, 0.5]])


def one(lines):
    return parse(f"newmtl a\n{lines}\n")["a"]


@pytest.mark.parametrize(
    ("line", "name", "placed"),
    [
        ("map_Kd wood.png", "wood.png", UV),
        ("map_Kd -s 1 1 1 wood.png", "wood.png", UV),
        ("map_Kd -s 2 3 1 wood.png", "wood.png", UV * [2, 3]),
        ("map_Kd -s 2 wood.png", "wood.png", UV * [2, 1]),
        ("map_Kd -o 0.5 0.25 0 wood.png", "wood.png", UV + np.array([0.5, 0.25])),
        ("map_Kd -o 0.5 -s 2 2 2 my wood.png", "my wood.png", UV * 2 + [0.5, 0]),
        ("MAP_KD -S 2 2 -O 1 1 wood.png", "wood.png", UV * 2 + 1),
        ("map_Kd -mm 0 1 -blendu on -blendv on -cc off -clamp off -t 0 0 0 wood.png", "wood.png", UV),
        ("map_Kd -s 2 2 7", "7", UV * 2),
        ("map_Kd -x wood.png", "-x wood.png", UV),
        ("\tmap_Kd\t-s\t2\t2\twood.png", "wood.png", UV * 2),
        ("map_Kd -s 2 2\nmap_Kd -s 3 3 other.png", "other.png", UV * 3),
    ],
)
def test_options_of_a_map(line, name, placed):
    material = one(line)
    assert material.name == name
    assert np.allclose(material.placed(UV), placed)
    assert material.ignored == []


@pytest.mark.parametrize("option", ["-clamp on", "-blendu off", "-t 1 2 3", "-texres 512", "-mm 0.1 2", "-imfchan r"])
def test_options_that_are_not_obeyed_are_told(option):
    material = one(f"map_Kd {option} -s 2 2 wood.png")
    assert material.ignored == [option]
    assert material.name == "wood.png"
    assert material.scale == (2, 2)


@pytest.mark.parametrize("line", ["map_Kd -s nan 1 1 a.png", "map_Kd -s 1e30 1 1 a.png", "map_Kd -o inf 0 0 a.png"])
def test_scales_without_sense_are_told(line):
    material = one(line)
    assert (material.name, material.scale, material.offset) == ("a.png", (1, 1), (0, 0))
    assert len(material.ignored) == 1


@pytest.mark.parametrize("line", ["Kd", "Kd a b c", "Kd 2 0 0", "Kd nan 0 0", "Kd spectral x.rfl", "map_Kd", "\x00"])
def test_damaged_lines_count_for_nothing(line):
    assert one(line) == Material()


def test_colours_and_names():
    found = parse("Kd 1 1 1\nnewmtl one two\nKd 0.5\nnewmtl b\nKd 1 0 0.25 # red\n")
    assert set(found) == {"one two", "b"}
    assert found["one two"].color == (0.5, 0.5, 0.5)
    assert found["b"].color == (1, 0, 0.25)
