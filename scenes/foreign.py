"""What other programs leave and this one does not read: told by names and first bytes, with what to do about it."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fields import json_files
from fields.numbers import printable
from scenes.pictures.headers import SUFFIXES

MOST = 20_000  # files of a folder that are looked at
SNIFFED = 8  # files of a folder of which the beginning is read
BEGINNING = 1 << 12  # bytes
LARGEST = 64 << 20  # bytes of a JSON file that is looked into
LONGEST = 80  # characters of a file name in a message
TEXTURES = 8  # pictures beside meshes, that may be textures


@dataclass(frozen=True)
class Foreign:
    """One kind of thing."""

    what: str
    name: str  # a regular expression for the file's path within a folder, lower case, with forward slashes
    advice: str  # what makes something of it that is read
    beside: str = ""  # another one, for a file that must lie in the folder too
    begins: str = ""  # another one, for the beginning of the file


def _ends(*suffixes: str) -> str:
    return rf"\.({'|'.join(suffixes)})$"


EMPTY, UNKNOWN = "folder is empty", "folder holds no data set that is known"
GET_POSES = "COLMAP and instant-ngp's colmap2nerf.py, or nerfstudio's ns-process-data, make a transforms.json"
MAKES = "makes a transforms.json of it"
SPLATS = "train from the pictures that they were made of"
POSES = (
    Foreign(
        "a COLMAP model",
        r"(^|/)cameras\.(bin|txt)$",
        f"nerfstudio's ns-process-data images --skip-colmap {MAKES}",
        r"(^|/)(images|points3d)\.(bin|txt)$|(^|/)sparse/|(^|/)cameras\.bin$",
    ),
    Foreign("a file of LLFF poses", r"(^|/)poses_bounds[^/]*\.npy$", f"torch-ngp's llff2nerf.py {MAKES}"),
    Foreign(
        "an NSVF data set", r"(^|/)intrinsics\.txt$", f"instant-ngp's nsvf2nerf.py {MAKES}", r"(^|/)pose/[^/]*\.txt$"
    ),
    Foreign(
        "a camera file of IDR, NeuS or DTU",
        r"(^|/)cameras(_sphere|_linear|_large)?\.npz$",
        "NeuS2's data_format_from_neus.py makes a transform_train.json of it, which can be given",
    ),
    Foreign("a Meshroom scene", r"\.sfm$", f"mr2nerf.py (github.com/joreeves/mr2nerf) {MAKES}"),
    Foreign(
        "an OpenMVG scene",
        r"(^|/)sfm_data[^/]*\.(json|bin)$",
        "openMVG_main_openMVG2Colmap makes a COLMAP model of it, and ns-process-data of that a transforms.json",
    ),
    Foreign(
        "a camera file of Metashape",
        _ends("xml"),
        f"nerfstudio's ns-process-data metashape {MAKES}",
        begins=r"<document\b",
    ),
    Foreign(
        "a camera file of RealityCapture",
        _ends("csv"),
        f"nerfstudio's ns-process-data realitycapture {MAKES}",
        begins=r"#name,x,y,alt",
    ),
    Foreign(
        "a camera file of RealityCapture",
        _ends("xmp"),
        "export them as Internal/External camera parameters (.csv) for nerfstudio's ns-process-data realitycapture",
        begins=r"xcr:",
    ),
    Foreign(
        "a camera file of ContextCapture",
        _ends("xml"),
        "export them for COLMAP or as a transforms.json",
        begins=r"<Blocks",
    ),
    Foreign(
        "a Polycam capture",
        r"(^|/)keyframes/(corrected_)?cameras/[^/]*\.json$",
        f"nerfstudio's ns-process-data polycam {MAKES}",
    ),
    Foreign("a Record3D capture", _ends("r3d"), f"nerfstudio's ns-process-data record3d {MAKES}"),
    Foreign(
        "a Kubric scene",
        r"(^|/)metadata\.json$",
        "write its positions and quaternions (w x y z, camera to world, axes of OpenGL) as a transforms.json",
        r"(^|/)(rgba_\d+|segmentation_\d+)\.png$",
    ),
    Foreign(
        "a Nerfies or HyperNeRF capture",
        r"(^|/)camera/[^/]*\.json$",
        f"torch-ngp's hyper2nerf.py {MAKES}; it moves, and is taken to stand still",
    ),
    Foreign(
        "a camera file of MVSNet",
        r"(^|/)cams[^/]*/[^/]*_cam\.txt$|(^|/)\d+_cam\.txt$",
        "invert their matrices, negate columns 2 and 3, and write them as a transforms.json",
    ),
    Foreign(
        "an OpenDroneMap or OpenSfM reconstruction",
        r"(^|/)reconstruction\.json$",
        f"nerfstudio's ns-process-data odm {MAKES}",
    ),
    Foreign("a COLMAP database", r"(^|/)database\.db$", "it has no poses yet: colmap mapper finds them"),
)
ELSE = (
    Foreign(
        "a video",
        _ends("mp4", "mov", "m4v", "avi", "mkv", "webm", "mts", "m2ts", "3gp", "wmv", "insv"),
        "nerfstudio's ns-process-data video, or instant-ngp's colmap2nerf.py --video_in, makes pictures with poses",
    ),
    Foreign(
        "a HEIC or AVIF picture", _ends("heic", "heif", "avif"), "save such pictures as JPEG, as heif-convert does"
    ),
    Foreign("a picture of high dynamic range", _ends("exr", "hdr"), "save such pictures as PNG"),
    Foreign(
        "a camera raw file",
        _ends("dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2"),
        "develop such files to JPEG or PNG",
    ),
    Foreign("Gaussian splats", _ends("splat", "ksplat", "spz", "sog"), SPLATS),
    Foreign("Gaussian splats", _ends("ply"), SPLATS, begins=r"\bf_dc_0\b"),
    Foreign(
        "a 3D file",
        _ends("blend", "fbx", "usdz", "usda", "usdc", "usd", "dae", "3mf", "3ds", "max", "c4d", "x3d", "wrl", "abc"),
        "export it as .glb from Blender, or from the program that made it",
    ),
    Foreign("a point cloud", _ends("las", "laz", "pcd", "e57", "xyz"), "mesh it, or train from its pictures"),
    Foreign("an archive", _ends("zip", "7z", "rar", "tar", "tgz", "gz", "xz"), "unpack it, and give its folder"),
    Foreign(
        "a file of arrays",
        _ends("npz", "npy", "h5", "hdf5", "mat"),
        "write the pictures as files, and the poses as a transforms.json",
    ),
    Foreign(
        "a model of another program", _ends("ingp", "msgpack", "ckpt", "pth", "pt"), "train again from its pictures"
    ),
)
DATA_SETS = Foreign("data sets", r"/transforms(_train)?\.json$", "give the folder of one")
MODELS = Foreign("a model", r"^[^/]*\.safetensors$", "give that file")
MESHES = Foreign("a mesh", r"^[^/]*" + _ends("glb", "gltf", "obj", "ply", "stl", "off"), "give that file")
MAGIC = (  # first bytes, and the ending that a file which begins so should have
    (r".{4}ftyp(heic|heix|hevc|mif1|msf1|avif|avis)", ".heic"),
    (r".{4}ftyp", ".mp4"),
    (r"\x1aE\xdf\xa3", ".mkv"),
    (r"v/1\x01", ".exr"),
    (r"#\?RADIANCE", ".hdr"),
    (r"PK\x03\x04", ".zip"),
    (r"BLENDER", ".blend"),
    (r"Kaydara FBX", ".fbx"),
)


def describe_file(path: Path) -> str:
    """What a file is and what to do about it; empty where it is nothing that is known here."""
    begin = beginning(path)
    for one in (*POSES, *ELSE):
        named = re.search(one.name, f"{path.parent.name}/{path.name}".lower()) and re.search(one.begins, begin)
        if named and (not one.beside or any(re.search(one.beside, name.lower()) for name in list_names(path.parent))):
            return f"is {one.what}, which cannot be read; {one.advice}"
    ending = next((ending for magic, ending in MAGIC if re.match(magic, begin, re.DOTALL)), "")
    found = [one for one in ELSE if ending and re.search(one.name, ending)]
    return f"is {found[0].what}, which cannot be read; {found[0].advice}" if found else ""


def describe_folder(folder: Path) -> str:
    """The same for a folder."""
    names = list_names(folder)
    if not names:
        return EMPTY
    if sets := first((DATA_SETS,), folder, names):
        return f"holds {sets[0].what} ({short(sets[1])}); {sets[0].advice}"
    poses = first(POSES, folder, names)
    held = f"holds {poses[0].what} ({short(poses[1])}), which cannot be read; " if poses else ""
    if readable := next((name for name in names if "/" not in name and has_frames(folder / name)), ""):
        return f"{held}give its {short(readable)}, which holds frames"
    if poses:
        return held + poses[0].advice
    pictures = sum(Path(name).suffix.lower() in SUFFIXES for name in names)
    kinds = (MODELS, MESHES) if pictures < TEXTURES else (MODELS,)
    if found := first(kinds, folder, names):
        return f"holds {found[0].what} ({short(found[1])}); {found[0].advice}"
    found = first(ELSE, folder, names)
    what, advice = (f"{found[0].what} ({short(found[1])})", found[0].advice) if found else ("", "")
    if pictures:
        beside = f"; beside them {what}: {advice}" if what else ""
        return f"{pictures} pictures but no camera poses ({GET_POSES}){beside}"
    return f"holds {what}, which cannot be read; {advice}" if what else UNKNOWN


def list_names(folder: Path) -> list[str]:
    """Paths of the files within a folder, sorted, but for hidden ones; not more than can be looked at."""
    found: list[str] = []
    seen: set[str] = set()  # links may go round
    for base, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if (place := os.path.realpath(base)) in seen:
            folders.clear()
            continue
        seen.add(place)
        inside = Path(base).relative_to(folder)
        found += [(inside / name).as_posix() for name in names if not name.startswith(".")]
        if max(len(found), len(seen)) > MOST:
            break
    return sorted(found)


def has_frames(path: Path) -> bool:
    """Whether this is a JSON file with posed frames, whatever it is called."""
    if path.suffix.lower() != ".json" or path.stat().st_size > LARGEST:
        return False
    try:
        frames = json_files.parse(path)["frames"]
        return "transform_matrix" in frames[0]
    except (ValueError, TypeError, LookupError):
        return False


def first(kinds: Sequence[Foreign], folder: Path, names: Sequence[str]) -> tuple[Foreign, str] | None:
    """The first kind of which a folder with files of these names has all that tells it, and the file that does."""
    for one in kinds:
        found = [name for name in names if re.search(one.name, name.lower())]
        if one.begins:
            found = [name for name in found[:SNIFFED] if re.search(one.begins, beginning(folder / name))]
        if found and any(re.search(one.beside, name.lower()) for name in names):
            return one, found[0]
    return None


def beginning(path: Path) -> str:
    """The first bytes of a file, each as one character; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(BEGINNING).decode("latin-1")
    except OSError:
        return ""


def short(name: str) -> str:
    """A file's name in a message."""
    return printable(name, LONGEST)
