"""glTF: texture coordinates, their transforms, all kinds of arrays, strips, fans, nodes, files that ask for much."""

import base64
import io
import json
import math
import struct

import numpy as np
import pytest
import solids
from PIL import Image

from scenes.drawn.surface import bilinear
from scenes.mesh_files.contents import contents
from scenes.mesh_files.gltf import moved
from scenes.mesh_files.part import GREY, MOST
from scenes.options import SceneError

SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)  # from the upper left
FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)
HALVES = Image.fromarray(np.array([[[255, 0, 0]] * 4 + [[0, 0, 255]] * 4] * 8, np.uint8))  # red | blue
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
CODES = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}


def png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


class Made:
    """A glTF file that is being made: one square of one material."""

    def __init__(self, picture=HALVES):
        self.binary, self.views, self.accessors = b"", [], []
        attributes = {"POSITION": self.add(SQUARE), "TEXCOORD_0": self.add(UV)}
        self.primitive = {"attributes": attributes, "indices": self.add(FACES), "material": 0}
        self.info = {"index": 0}
        self.record = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [self.primitive]}],
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": self.info}}],
            "textures": [{"source": 0}],
            "images": [{"bufferView": self.store(png(picture)), "mimeType": "image/png", "name": "halves"}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }

    def store(self, content):
        """The number of a buffer view with this content."""
        self.binary += bytes(-len(self.binary) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)})
        self.binary += content
        return len(self.views) - 1

    def add(self, values, **more):
        """The number of an accessor of these values."""
        values = np.asarray(values)
        width = 1 if values.ndim == 1 else values.shape[1]
        view = self.store(values.tobytes())
        self.accessors.append(
            {"bufferView": view, "componentType": CODES[values.dtype.name], "count": len(values), "type": TYPES[width]}
            | more
        )
        return len(self.accessors) - 1

    def saved(self, folder):
        self.record["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.record).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), 0x4E4F534A) + text
        body += struct.pack("<II", len(self.binary), 0x004E4942) + self.binary
        path = folder / "m.glb"
        path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
        return path

    def read(self, folder):
        return contents(self.saved(folder))

    def refused(self, folder):
        """The one line that is said of it."""
        path = self.saved(folder)
        with pytest.raises(SceneError) as caught:
            contents(path)
        said = str(caught.value)
        assert said.startswith(f"{path}: ")
        assert "\n" not in said
        assert len(said) < 300 + len(str(path))
        return said


def shown(part):
    """The colours (8, 8, 3) that the square shows, 0 to 1: row and column as one looks at it."""
    places = (np.arange(8) + 0.5) / 4 - 1
    found = np.zeros((8, 8, 3))
    for i, y in enumerate(places[::-1]):
        for j, x in enumerate(places):
            corner = part.corners[:, :, :2]
            for k in range(2):
                system = np.vstack([corner[k].T, np.ones(3)])
                weights = np.linalg.solve(system, [x, y, 1])
                if (weights >= -1e-6).all():
                    at = (weights @ part.uv[k])[None]
                    found[i, j] = bilinear(np.asarray(part.picture.convert("RGB")), at.astype(np.float32))[0]
    return found


def told(found):
    return "\n".join(fact.text for fact in found.facts)


def test_a_texture_as_it_is(tmp_path):
    colors = shown(Made().read(tmp_path).parts[0])
    assert np.allclose(colors[:, :4], [1, 0, 0])
    assert np.allclose(colors[:, 4:], [0, 0, 1])


@pytest.mark.parametrize("under", ["pbrMetallicRoughness", "KHR_materials_pbrSpecularGlossiness"])
def test_a_texture_transform_chooses_a_half(tmp_path, under):
    made = Made()
    made.info["extensions"] = {"KHR_texture_transform": {"offset": [0.5, 0], "scale": [0.5, 1]}}
    if under != "pbrMetallicRoughness":
        made.record["materials"] = [{"extensions": {under: {"diffuseTexture": made.info}}}]
        made.record["extensionsRequired"] = [under, "KHR_texture_transform"]
    colors = shown(made.read(tmp_path).parts[0])
    assert np.allclose(colors[:, 1:-1], [0, 0, 1])  # the columns at the picture's edges repeat its other half


def test_transforms_as_the_specification_has_them():
    """Its example: the lower left quarter, turned clockwise by 90 degrees."""
    change = {"offset": [0, 1], "rotation": math.pi / 2, "scale": [0.5, 0.5]}
    corners = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    assert np.allclose(moved(corners, change), [[0, 1], [0, 0.5], [0.5, 1], [0.5, 0.5]])
    assert np.allclose(moved(corners, {"offset": [0, 1], "scale": [1, -1]}), corners * [1, -1] + [0, 1])
    assert (moved(corners, {}) == corners).all()


@pytest.mark.parametrize("where", ["texture", "transform"])
def test_the_set_of_coordinates_that_the_material_names(tmp_path, where):
    made = Made()
    values = (UV * [0.5, 1] + [0.5, 0]).astype(np.float32)
    made.primitive["attributes"]["TEXCOORD_1"] = made.add(values)
    if where == "texture":
        made.info["texCoord"] = 1
    else:
        made.info |= {"texCoord": 7, "extensions": {"KHR_texture_transform": {"texCoord": 1}}}
    assert np.allclose(shown(made.read(tmp_path).parts[0])[:, 1:-1], [0, 0, 1])


def test_a_set_of_coordinates_that_is_not_there_is_told(tmp_path):
    made = Made()
    made.info["texCoord"] = 3
    found = made.read(tmp_path)
    assert found.parts[0].painted == "material"
    assert "texture halves: some faces do not say where they lie on it" in told(found)


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_normalized_coordinates(tmp_path, kind):
    made = Made()
    values = (UV * np.iinfo(kind).max).astype(kind)
    made.primitive["attributes"]["TEXCOORD_0"] = made.add(values, normalized=True)
    assert np.allclose(made.read(tmp_path).parts[0].uv, (UV * [1, -1] + [0, 1])[FACES].reshape(2, 3, 2))


def test_sparse_arrays(tmp_path):
    made = Made()
    index, values = (
        made.store(np.array([2], np.uint16).tobytes()),
        made.store(np.array([[5, 6, 7]], np.float32).tobytes()),
    )
    sparse = {"count": 1, "indices": {"bufferView": index, "componentType": 5123}, "values": {"bufferView": values}}
    made.accessors[0]["sparse"] = sparse
    assert made.read(tmp_path).parts[0].corners[0].tolist() == [[-1, -1, 0], [1, -1, 0], [5, 6, 7]]
    del made.accessors[0]["bufferView"]
    assert made.read(tmp_path).parts[0].corners[0].tolist() == [[0, 0, 0], [0, 0, 0], [5, 6, 7]]


def test_rows_that_lie_apart(tmp_path):
    made = Made()
    rows = np.zeros((4, 5), np.float32)
    rows[:, :3], rows[:, 3:] = SQUARE, UV
    view = made.store(rows.tobytes())
    made.views[view]["byteStride"] = 20
    for key, width, offset in (("POSITION", 3, 0), ("TEXCOORD_0", 2, 12)):
        made.accessors.append(
            {"bufferView": view, "byteOffset": offset, "componentType": 5126, "count": 4, "type": TYPES[width]}
        )
        made.primitive["attributes"][key] = len(made.accessors) - 1
    part = made.read(tmp_path).parts[0]
    assert np.allclose(part.corners, SQUARE[FACES].reshape(2, 3, 3))
    assert np.allclose(shown(part)[:, :4], [1, 0, 0])


@pytest.mark.parametrize(("mode", "order"), [(4, [0, 1, 2, 0, 2, 3]), (5, [1, 2, 0, 3]), (6, [0, 1, 2, 3])])
def test_lists_strips_and_fans(tmp_path, mode, order):
    made = Made()
    made.primitive |= {"mode": mode, "indices": made.add(np.array(order, np.uint8))}
    corners = made.read(tmp_path).parts[0].corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert normals.tolist() == [[0, 0, 4], [0, 0, 4]]
    assert corners.mean((0, 1)).tolist() != [0, 0, 1]


def test_without_indices(tmp_path):
    made = Made()
    del made.primitive["indices"]
    assert len(made.read(tmp_path).parts[0].corners) == 1


def test_vertex_colours_that_are_no_numbers_are_grey_and_told(tmp_path):
    made = Made()
    del made.primitive["material"]
    made.primitive["attributes"]["COLOR_0"] = made.add(np.array([[1, 0, 0]] * 3 + [[np.nan, 0, 0]], np.float32))
    found = made.read(tmp_path)
    assert np.allclose(found.parts[0].colors[1], [[1, 0, 0], [1, 0, 0], [GREY] * 3], atol=2e-3)
    assert "1 of 4 vertices have none that is a number" in told(found)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"uri": "gone%20one.png"}, "texture gone%20one.png: gone%20one.png: there is no such file"),
        ({"uri": "data:image/png;base64,AAAA"}, "texture image 0: it cannot be read: none of PNG"),
        ({"uri": "data:image/png;base64,A"}, "texture image 0: a 'data:' address cannot be read"),
        ({"name": "sky", "bufferView": 99}, "texture sky: a number of 'bufferViews' must be"),
        ({"name": "sky"}, "texture sky: 'uri' must be text"),
    ],
)
def test_a_texture_that_cannot_be_had_is_named(tmp_path, image, words):
    made = Made()
    made.record["images"] = [image]
    made.record["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [1, 0, 0, 1]
    found = made.read(tmp_path)
    assert words in told(found)
    assert np.allclose(found.parts[0].colors, [1, 0, 0])


def test_a_texture_of_a_kind_that_is_not_read_is_named(tmp_path):
    made = Made()
    made.record["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    assert "texture 0: it is of a kind that is not read" in told(made.read(tmp_path))


def test_textures_in_files_and_addresses(tmp_path):
    (tmp_path / "my halves.png").write_bytes(png(HALVES))
    address = "data:image/png;base64," + base64.b64encode(png(HALVES)).decode()
    for uri in ("my%20halves.png", "my halves.png", address):
        made = Made(solids.STAMP)
        made.record["images"] = [{"uri": uri}]
        assert np.allclose(shown(made.read(tmp_path).parts[0])[:, 4:], [0, 0, 1])


def test_nodes_stand_where_their_parents_put_them(tmp_path):
    made = Made()
    turn = [0, 0, math.sin(math.pi / 4), math.cos(math.pi / 4)]
    made.record["nodes"] = [
        {"children": [1, 2], "translation": [10, 0, 0], "rotation": turn, "camera": 0},
        {"mesh": 0, "scale": [2, 1, 1]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1]},
        {"mesh": 0, "translation": [99, 0, 0]},
    ]
    first, second = made.read(tmp_path).parts
    assert np.allclose(first.corners[0], [[11, -2, 0], [11, 2, 0], [9, 2, 0]])
    assert np.allclose(second.corners[0], [[11, -1, 5], [11, 1, 5], [9, 1, 5]])


def test_without_a_scene_all_nodes_stand_that_are_nobodys_child(tmp_path):
    made = Made()
    del made.record["scenes"], made.record["scene"]
    made.record["nodes"] = [{"mesh": 0}, {"mesh": 0, "children": [0]}, {"mesh": 0}]
    assert len(made.read(tmp_path).parts) == 3


@pytest.mark.parametrize("name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_mesh_quantization"])
def test_extensions_that_are_required_and_unknown(tmp_path, name):
    made = Made()
    made.record["extensionsRequired"] = ["KHR_texture_transform", name]
    assert f"it requires {name}, which is not read" in made.refused(tmp_path)


def accessor(made, **changes):
    made.accessors[0] |= changes


def without_view(made, **changes):
    del made.accessors[0]["bufferView"]
    made.accessors[0] |= changes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: accessor(made, count=2**31), "the 'count' of an accessor must be a whole number from 0 to"),
        (lambda made: accessor(made, count=2**27), "wants 134217728 rows, more than the 48 bytes of its buffer view"),
        (lambda made: accessor(made, count=10**400), "the 'count' of an accessor must be"),
        (lambda made: accessor(made, count=True), "found true"),
        (lambda made: accessor(made, byteOffset=-4), "'byteOffset' must be"),
        (lambda made: accessor(made, type="VEC2"), "must have 3 numbers a row"),
        (lambda made: accessor(made, type={}), "must have 3 numbers a row"),
        (lambda made: accessor(made, componentType=[]), "'componentType' must be"),
        (lambda made: accessor(made, componentType=5124), "'componentType' must be one of"),
        (lambda made: without_view(made), "has no buffer view: its values are not in the file"),
        (lambda made: without_view(made, count=2**28, sparse={}), "has no buffer view"),
        (lambda made: made.views[0].update(byteLength=10**9), "'byteLength' must be"),
        (lambda made: made.views[0].update(buffer=1), "a number of 'buffers' must be"),
        (lambda made: made.primitive.update(indices=77), "a number of 'accessors' must be"),
        (lambda made: made.primitive.update(indices=0), "must have 1 numbers a row"),
        (lambda made: made.primitive.update(material=-1), "a number of 'materials' must be"),
        (lambda made: made.primitive.update(mode="4"), "a 'mode' must be"),
        (lambda made: made.primitive.update(attributes=[]), "'attributes' must be an object"),
        (lambda made: made.record.update(meshes={}), "'meshes' must be a list"),
        (lambda made: made.record.update(nodes=[5]), "'nodes' must hold objects"),
        (lambda made: made.record.update(nodes=[{"mesh": 0, "scale": [1, "a", 1]}]), "'scale' of a node must be"),
        (lambda made: made.record.update(nodes=[{"mesh": 0, "rotation": [0, 0, 0, 0]}]), "must be a quaternion"),
        (lambda made: made.record.update(nodes=[{"mesh": 0, "translation": [1e200, 0, 0]}]), "'translation' of a node"),
        (lambda made: made.record.update(nodes=[{"mesh": 0, "scale": [1, 1, 1], "children": [0]}]), "two nodes"),
        (lambda made: made.record.update(asset={"version": "1.0"}), "wanted glTF of version 2"),
        (lambda made: made.record.update(meshes=[{"primitives": []}]), "has no faces"),
        (lambda made: made.info.update(extensions={"KHR_texture_transform": {"scale": [1e300, 1]}}), "'scale' of a"),
        (lambda made: made.info.update(extensions={"KHR_texture_transform": []}), "must be an object"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path, change, words):
    made = Made()
    change(made)
    assert words in made.refused(tmp_path)


def test_a_vertex_that_is_not_there(tmp_path):
    made = Made()
    made.primitive["indices"] = made.add(np.array([0, 1, 4], np.uint16))
    assert "a face names vertex 4, but there are 4" in made.refused(tmp_path)


def test_corners_that_are_no_numbers(tmp_path):
    made = Made()
    made.primitive["attributes"]["POSITION"] = made.add(np.where(SQUARE > 0, np.nan, SQUARE).astype(np.float32))
    assert "2 of 2 faces have corners that are not finite" in made.refused(tmp_path)


def test_a_small_file_that_shows_its_mesh_often_is_refused_before_it_is_made(tmp_path):
    made = Made()
    made.primitive["indices"] = made.add(np.zeros(3 << 16, np.uint16))
    made.record["nodes"] = [{"children": list(range(1, 400))}, *({"mesh": 0} for _ in range(399))]
    assert f"triangles; wanted at most {MOST}" in made.refused(tmp_path)


def test_a_long_chain_of_nodes(tmp_path):
    made = Made()
    made.record["nodes"] = [{"children": [i + 1], "translation": [0, 0, 1]} for i in range(20_000)] + [{"mesh": 0}]
    assert made.read(tmp_path).parts[0].corners[0, 0].tolist() == [-1, -1, 20_000]


def test_lists_within_lists(tmp_path):
    path = tmp_path / "m.gltf"
    path.write_text('{"asset": {"version": "2.0"}, "nodes": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(SceneError, match="lists within lists"):
        contents(path)
