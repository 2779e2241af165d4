"""Materials of .obj files, `.mtl` ("MTL material format", Alias Wavefront 1995): Kd, and map_Kd with its options."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from fields.numbers import printable
from scenes.mesh_files import textures
from scenes.scene import Fact

VECTORS = ("-o", "-s", "-t")  # options with up to three numbers, of which the first is wanted
VALUES = {"-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-type": 1, "-bm": 1, "-boost": 1}
VALUES |= {"-texres": 1, "-mm": 2}  # options with so many words
USUAL = {"-blendu on", "-blendv on", "-cc off", "-clamp off", "-mm 0 1", "-t 0", "-t 0 0", "-t 0 0 0"}  # as without
FAR = 1e6  # largest scale and offset that are obeyed


@dataclass
class Material:
    """How some faces look."""

    color: tuple[float, float, float] | None = None  # Kd, display values
    name: str = ""  # of the picture, as it is written
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)  # texture coordinates are times `scale`, plus `offset`
    ignored: list[str] = field(default_factory=list)  # options

    def placed(self, uv: np.ndarray) -> np.ndarray:
        """Where texture coordinates (K, 2) lie on the picture."""
        return uv * np.asarray(self.scale) + np.asarray(self.offset)

    def picture(self, folder: Path) -> tuple[Image.Image | None, list[Fact]]:
        """Its picture, if there is one, and what is to be told."""
        if not self.name:
            return None, []
        name = printable(self.name, 100)
        facts = [Fact("ignored", f"texture {name}: its option {one} is ignored") for one in self.ignored]
        try:
            return textures.load(textures.locate(self.name, folder)), facts
        except (ValueError, OSError) as error:
            return None, [Fact("assumed", f"texture {name}: {error}; what it covers is drawn without it")]

    def without_place(self) -> tuple[None, list[Fact]]:
        """As `picture`, of faces without texture coordinates."""
        told = f"texture {printable(self.name, 100)}: some faces do not say where they lie on it, and are drawn without"
        return None, [Fact("assumed", told)] if self.name else []


def parse(text: str) -> dict[str, Material]:
    """Materials by name. Lines that are damaged count for nothing."""
    found, now = dict[str, Material](), Material()
    for line in text.splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        rest = rest.strip()
        if key.lower() == "newmtl":
            now = found[rest] = Material()
        elif key.lower() == "kd":
            now.color = shade(rest.split()) or now.color
        elif key.lower() == "map_kd":
            take_map(now, rest)
    return found


def shade(words: list[str]) -> tuple[float, float, float] | None:
    """Red, green and blue, of which a lone number is all three; none where they are not numbers from 0 to 1."""
    values = leading(words, 3)
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3 or not all(0 <= value <= 1 for value in values):
        return None
    return values[0], values[1], values[2]


def leading(words: list[str], most: int) -> list[float]:
    """The numbers that the words begin with."""
    values = list[float]()
    for word in words[:most]:
        try:
            values.append(float(word))
        except ValueError:
            break
    return values


def take_map(material: Material, rest: str) -> None:
    """Options and name of a picture; the name may have spaces in it."""
    material.scale, material.offset, material.ignored = (1.0, 1.0), (0.0, 0.0), []
    words = rest.split()
    while words and (words[0].lower() in VECTORS or words[0].lower() in VALUES):
        option, wanted = words[0].lower(), VALUES.get(words[0].lower())
        count = len(leading(words[1:], 3)) if wanted is None else wanted
        count = min(count, max(len(words) - 2, 0))  # what is left is the name, also where that is a number
        set_option(material, option, words[1 : count + 1])
        words = words[count + 1 :]
    material.name = " ".join(words).strip('"')


def set_option(material: Material, option: str, words: list[str]) -> None:
    """What an option says: scale and offset are obeyed, others are kept to be told."""
    values = leading(words, 3)
    fine = bool(values) and all(abs(value) <= FAR for value in values)
    if option == "-s" and fine:
        material.scale = values[0], (*values, 1.0)[1]
    elif option == "-o" and fine:
        material.offset = values[0], (*values, 0.0)[1]
    elif (said := " ".join([option, *words])) not in USUAL:
        material.ignored.append(said)
