"""The files that a data set names, as they are on this disk: extensions may be missing or in another case, and a
folder of shrunken copies (images_2, images_4, ...) stands in for one that is not there."""

import os
import re
from pathlib import Path, PurePosixPath

from scenes.pictures.headers import SUFFIXES
from scenes.scene import Fact


class NamedFiles:
    """Finds files below a folder. Each folder is listed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: dict[Path, dict[str, str]] = {}  # of a folder: names with their suffix in lower case -> names
        self.shrunken: dict[Path, list[tuple[int, Path]]] = {}  # of a folder that is not there: factors and copies

    def find(self, name: str) -> tuple[Path, int]:
        """The file that a `file_path` means, and how many times smaller than what was named it is: 1 but in a folder of
        shrunken copies. The path as written where there is none."""
        path = self.folder / name.strip().replace("\\", "/")  # as a text: it may begin with a drive of Windows
        if found := self.beside(path):
            return found, 1
        for factor, folder, rest in self.copies(path):
            for other in (folder / rest, *((folder / rest).with_suffix(suffix) for suffix in SUFFIXES)):
                if found := self.beside(other):
                    return found, factor
        return path, 1

    def beside(self, path: Path) -> Path | None:
        """The file of this name, with an extension in any case, or with one of those known where it bears none."""
        if path.is_file():
            return path
        names = self.names(path.parent)
        for suffix in ("", *SUFFIXES):
            if name := names.get(_folded(path.name + suffix)):
                return path.with_name(name)
        return None

    def names(self, folder: Path) -> dict[str, str]:
        """What lies in a folder; nothing where it is none."""
        if folder not in self.listed:
            try:
                with os.scandir(folder) as entries:
                    found = sorted((entry.name for entry in entries if entry.is_file()), reverse=True)
            except OSError:
                found = []
            self.listed[folder] = {_folded(name): name for name in found}
        return self.listed[folder]

    def copies(self, path: Path) -> list[tuple[int, Path, Path]]:
        """Factors, folders and the path in them, largest first, where a folder on the way to `path` is missing."""
        if not path.is_relative_to(self.folder):
            return []
        parts = path.relative_to(self.folder).parts
        folder = self.folder
        for i, part in enumerate(parts[:-1]):
            if not (folder / part).is_dir():
                rest = Path(*parts[i + 1 :])
                return [(factor, copy, rest) for factor, copy in self.copies_of(folder / part)]
            folder = folder / part
        return []

    def copies_of(self, folder: Path) -> list[tuple[int, Path]]:
        """Folders that bear the name of a missing one and a factor of 2 and more: images_2, images_4, ..."""
        if folder not in self.shrunken:
            named = re.compile(re.escape(folder.name) + r"_(\d{1,2})")
            beside = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
            found = [(int(match[1]), one) for one in beside if (match := named.fullmatch(one.name)) and one.is_dir()]
            self.shrunken[folder] = sorted(pair for pair in found if pair[0] > 1)
        return self.shrunken[folder]

    def facts(self) -> list[Fact]:
        """What stood in for what."""
        used = {folder.name: copies[0] for folder, copies in self.shrunken.items() if copies}
        return [
            Fact("assumed", f"pictures: no folder {name}; {copy.name}, {factor} times smaller, stands in for it")
            for name, (factor, copy) in used.items()
        ]


def _folded(name: str) -> str:
    """A name with its extension in lower case."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) + suffix.lower()
