"""Pictures that mesh files name: found beside them, and decoded by the decoders of the formats that are named here."""

import io
import re
import warnings
from pathlib import Path

from PIL import Image

from fields.numbers import printable

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "TIFF")  # Pillow's names


def locate(name: str, folder: Path) -> Path:
    """The file that a mesh in `folder` calls by this name, which may have been written under Windows. One with a root
    or a drive, of another machine, is looked for by its last part. ValueError where there is none."""
    plain = name.replace("\\", "/")
    ways = [] if re.match(r"/|[A-Za-z]:", plain) else [plain]
    for way in (*ways, plain.rpartition("/")[2]):
        try:
            if way and (folder / way).is_file():
                return folder / way
        except (ValueError, OSError):  # no such name can be that of a file
            break
    raise ValueError("there is no such file")


def load(path: Path) -> Image.Image:
    """A picture, decoded. ValueError where it is none."""
    return decoded(path.read_bytes())


def decoded(content: bytes) -> Image.Image:
    """The picture in these bytes. ValueError where it is none of FORMATS, damaged, or larger than Pillow's limit."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            picture.load()
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = "none of " + ", ".join(FORMATS) if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise ValueError(f"it cannot be read: {printable(reason, 100)}") from None
    return picture
