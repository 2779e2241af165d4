"""Reader of glTF 2.0, `.glb` and `.gltf` (Khronos 2021): triangles where the scene's nodes put them, base colours.

Strips, fans, sparse and normalized arrays, KHR_texture_transform and any set of texture coordinates are read. Skins,
morphs, normals and lights are passed over. Factors and vertex colours are linear light and become display values.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fields.numbers import LENGTH, array, brief, number, printable, whole
from scenes.mesh_files.gltf_document import Document, child, children, opened
from scenes.mesh_files.part import GREY, PLAIN, Contents, Part, check_count, check_finite
from scenes.options import SceneError
from scenes.scene import Fact

REQUIRED = {  # extensions that a file may require: those that are read, and those that change the looks alone
    "KHR_texture_transform", "EXT_texture_webp", "KHR_materials_pbrSpecularGlossiness", "KHR_materials_unlit",
}  # fmt: skip
GLOSSY = "KHR_materials_pbrSpecularGlossiness"
LISTS, STRIP, FAN = 4, 5, 6  # modes of a primitive; points and lines come before them
TOLD = 300  # characters of a message


def read(path: Path) -> Contents:
    """What the file holds. SceneError, which names it, where it cannot be used."""
    try:
        document = opened(path)
        require_known(document.record)
        parts, facts = list[Part](), list[Fact]()
        for mesh, matrix in placed(path, document):
            for primitive in primitives(document, mesh):
                found = part(path, document, primitive, matrix)
                if found:
                    parts.append(found[0])
                    facts += found[1]
    except SceneError:
        raise
    except (ValueError, OSError) as error:
        said = printable(str(error).removeprefix(f"{path}: "), TOLD)
        raise SceneError(f"{path}: cannot be read as a {path.suffix.lower()} mesh: {said}") from None
    if not parts:
        raise SceneError(f"{path}: has no faces; wanted a triangle mesh, found {what_else(document.record)}")
    return Contents(parts, list(dict.fromkeys(facts)))


def what_else(record: dict[str, Any]) -> str:
    """What a file without triangles holds, in words."""
    words = [f"{len(children(record, key))} {key}" for key in ("meshes", "nodes", "cameras") if record.get(key)]
    return ", ".join(words) or "nothing"


def require_known(record: dict[str, Any]) -> None:
    """ValueError, which names them, where a file requires extensions that are not read."""
    names = [str(name) for name in children(record, "extensionsRequired")]
    if unknown := [name for name in names if name not in REQUIRED]:
        raise ValueError(f"it requires {', '.join(unknown)}, which is not read: export it without")


def placed(path: Path, document: Document) -> Iterator[tuple[object, np.ndarray]]:
    """The meshes that nodes show, with their transforms (4, 4). ValueError for nodes that are no tree, SceneError for
    more triangles than are drawn."""
    waiting: list[tuple[object, np.ndarray]] = [(node, np.eye(4)) for node in roots(document)]
    seen, total = set[int](), 0
    while waiting:
        index, matrix = waiting.pop()
        node = document.entry("nodes", index)
        if (number := whole(index, "a number of 'nodes'", 0, 1 << 31)) in seen:
            raise ValueError(f"node {number} is the child of two nodes, or of its own")
        seen.add(number)
        matrix = matrix @ own_transform(node)
        waiting += [(one, matrix) for one in reversed(children(node, "children"))]
        if "mesh" in node:
            total += sum(count_triangles(document, one) for one in primitives(document, node["mesh"]))
            check_count(path, total)
            yield node["mesh"], matrix


def roots(document: Document) -> list[Any]:
    """The nodes that a scene begins with: those of the scene that is to be shown, else all that are nobody's child."""
    if children(document.record, "scenes"):
        return children(document.entry("scenes", document.record.get("scene", 0)), "nodes")
    nodes = children(document.record, "nodes")
    below = {brief(one) for index in range(len(nodes)) for one in children(document.entry("nodes", index), "children")}
    return [index for index in range(len(nodes)) if str(index) not in below]


def own_transform(node: dict[str, Any]) -> np.ndarray:
    """A node's transform (4, 4) into its parent's coordinates."""
    if "matrix" in node:
        return array(node["matrix"], "the 'matrix' of a node", (16,)).numpy().reshape(4, 4).T
    move = array(node.get("translation", [0, 0, 0]), "the 'translation' of a node", (3,)).numpy()
    x, y, z, w = array(node.get("rotation", [0, 0, 0, 1]), "the 'rotation' of a node", (4,)).tolist()
    scale = array(node.get("scale", [1, 1, 1]), "the 'scale' of a node", (3,)).numpy()
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not length:
        raise ValueError("the 'rotation' of a node must be a quaternion, found zeros")
    x, y, z, w = x / length, y / length, z / length, w / length
    result = np.eye(4)
    result[:3, :3] = (
        np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        * scale
    )
    result[:3, 3] = move
    return result


def primitives(document: Document, mesh: object) -> list[dict[str, Any]]:
    """Those of a mesh that are triangles."""
    found = children(document.entry("meshes", mesh), "primitives")
    for one in found:
        if not isinstance(one, dict):
            raise ValueError(f"'primitives' must hold objects, found {brief(one)}")
    return [one for one in found if whole(one.get("mode", LISTS), "a 'mode'", 0, FAN) >= LISTS]


def count_triangles(document: Document, primitive: dict[str, Any]) -> int:
    """How many triangles a primitive has, by its header alone."""
    index = primitive["indices"] if "indices" in primitive else child(primitive, "attributes").get("POSITION")
    count = document.count(index)
    return count // 3 if primitive.get("mode", LISTS) == LISTS else max(count - 2, 0)


def part(
    path: Path, document: Document, primitive: dict[str, Any], matrix: np.ndarray
) -> tuple[Part, list[Fact]] | None:
    """A primitive under a transform (4, 4), and what is to be told; none where it has no triangles."""
    attributes = child(primitive, "attributes")
    points = document.array(attributes.get("POSITION"), (3,)).astype(np.float64)
    faces = triangles(document, primitive, len(points))
    if not len(faces):
        return None
    if faces.max() >= len(points):
        raise SceneError(f"{path}: a face names vertex {faces.max()}, but there are {len(points)}")
    corners = (points @ matrix[:3, :3].T + matrix[:3, 3])[faces]
    check_finite(path, int((~(np.abs(corners) <= LENGTH).all((1, 2))).sum()), len(faces))
    material = document.entry("materials", primitive["material"]) if "material" in primitive else None
    base = base_of(material or {})
    shade, facts = vertex_colors(document, attributes, len(points))
    picture, uv, said = texture(document, base, attributes, len(points))
    color = array(base.get("baseColorFactor", [1, 1, 1, 1]), "a 'baseColorFactor'", (4,)).numpy()[:3].clip(0, 1)
    names = [] if material is None else ["texture" if picture else "material"]
    if shade is not None:
        names.append("vertex colours")
        colors = display(color * shade)[faces]
    else:
        colors = np.broadcast_to(display(color) if names else np.full(3, GREY), corners.shape).astype(np.float32)
    found = Part(corners, colors, uv[faces], picture, cutoff(material or {}), " and ".join(names) or PLAIN)
    return found, [*facts, *said]


def triangles(document: Document, primitive: dict[str, Any], points: int) -> np.ndarray:
    """The vertices (F, 3) int64 of its triangles."""
    v = np.arange(points)
    if "indices" in primitive:
        v = document.array(primitive["indices"], (1,))[:, 0]
        if v.dtype.kind != "u":
            raise ValueError("'indices' must be unsigned integers")
        v = v.astype(np.int64)
    mode = primitive.get("mode", LISTS)
    if mode == LISTS:
        return v[: len(v) // 3 * 3].reshape(-1, 3)
    k = np.arange(max(len(v) - 2, 0))
    if mode == FAN:
        return np.stack([v[k + 1], v[k + 2], v[np.zeros_like(k)]], 1)
    return np.stack([v[k], v[k + 1 + k % 2], v[k + 2 - k % 2]], 1)


def base_of(material: dict[str, Any]) -> dict[str, Any]:
    """Base colour of a material as `pbrMetallicRoughness` has it."""
    glossy = child(child(material, "extensions"), GLOSSY)
    if not glossy:
        return child(material, "pbrMetallicRoughness")
    names = {"baseColorFactor": "diffuseFactor", "baseColorTexture": "diffuseTexture"}
    return {name: glossy[other] for name, other in names.items() if other in glossy}


def cutoff(material: dict[str, Any]) -> float:
    """As in scenes/drawn/surface.py."""
    mode = material.get("alphaMode", "OPAQUE")
    if mode == "MASK":
        return number(material.get("alphaCutoff", 0.5), "an 'alphaCutoff'", 0, 1e6)
    return 0.5 if mode == "BLEND" else 0.0


def vertex_colors(document: Document, attributes: dict[str, Any], points: int) -> tuple[np.ndarray | None, list[Fact]]:
    """Linear colours (points, 3) of vertices, where there are some, and what is to be told."""
    if "COLOR_0" not in attributes:
        return None, []
    values = document.array(attributes["COLOR_0"], (3, 4))[:, :3]
    if len(values) != points:
        raise ValueError(f"COLOR_0 has {len(values)} rows for {points} vertices")
    if values.dtype.kind in "iu":  # it should have said that it is normalized
        values = values / np.float32(np.iinfo(values.dtype).max)
    bad = np.asarray(~np.isfinite(values).all(1))
    values = np.where(bad[:, None], np.float32(0.45), values).clip(0, 1)  # 0.7 as it is shown
    told = f"colours: {bad.sum()} of {points} vertices have none that is a number: grey"
    return values, [Fact("assumed", told)] if bad.any() else []


def texture(
    document: Document, base: dict[str, Any], attributes: dict[str, Any], points: int
) -> tuple[Image.Image | None, np.ndarray, list[Fact]]:
    """The picture, its coordinates (points, 2) float32 from the lower left, and what is to be told."""
    nowhere, info = np.zeros((points, 2), np.float32), child(base, "baseColorTexture")
    if not info:
        return None, nowhere, []
    name, picture, reason = document.picture(info.get("index"))
    change = child(child(info, "extensions"), "KHR_texture_transform")
    level = whole(change.get("texCoord", info.get("texCoord", 0)), "a 'texCoord'", 0, 1 << 16)
    if picture and f"TEXCOORD_{level}" not in attributes:
        picture, reason = None, "some faces do not say where they lie on it"
    if picture is None:
        return None, nowhere, [Fact("assumed", f"texture {name}: {reason}; what it covers is drawn without it")]
    uv = document.array(attributes[f"TEXCOORD_{level}"], (2,)).astype(np.float64)
    if len(uv) != points:
        raise ValueError(f"TEXCOORD_{level} has {len(uv)} rows for {points} vertices")
    uv = moved(np.nan_to_num(uv, posinf=0, neginf=0), change)
    return picture, (uv * [1, -1] + [0, 1]).astype(np.float32), []


def moved(uv: np.ndarray, change: dict[str, Any]) -> np.ndarray:
    """Coordinates (N, 2) from the upper left under KHR_texture_transform: scaled, turned counter-clockwise as a picture
    shows it, and shifted."""
    if not change:
        return uv
    what = "of a KHR_texture_transform"
    offset, scale = (
        array(change.get(key, default), f"'{key}' {what}", (2,), 1e6).numpy()
        for key, default in (("offset", [0, 0]), ("scale", [1, 1]))
    )
    turn = number(change.get("rotation", 0), f"'rotation' {what}", -1e6, 1e6)
    c, s = math.cos(turn), math.sin(turn)
    return uv * scale @ np.array([[c, -s], [s, c]]) + offset


def display(linear: np.ndarray) -> np.ndarray:
    """Display values float32 in [0, 1] of linear light in [0, 1]."""
    high = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, high).astype(np.float32)
