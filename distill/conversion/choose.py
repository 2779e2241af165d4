"""Which architecture and preset a conversion goes into, and why: bytes as counted, quality and speed as measured."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import fields
from distill.conversion.wanted import AUTO, Wanted, size
from distill.learning.metrics import Metrics
from distill.learning.profiles import MeasuredTable, read_tables
from distill.photographs.settings import PRESET
from fields.files import Header, skeleton
from fields.shape import Shape
from fields.shape import preset as preset_of

TIE = 0.3  # dB; of presets that are nearer to the best than this, the smallest file wins
DOUBLING = 10 * math.log10(2)  # dB for which the squared error doubles: what weighs as much as twice the bytes or time
HEAVY = "large"  # size that is taken only where it is named
SIZES = ("tiny", "small", "base")  # the others, rising; variants of an architecture end in one of these


@dataclass(frozen=True)
class Choice:
    """What it shall be."""

    shape: Shape  # before growth
    preset: str
    why: tuple[str, ...]  # lines for the person


@dataclass(frozen=True)
class Candidate:
    """One preset, and what is known of it."""

    architecture: str
    preset: str
    bytes: int  # of the whole model file
    sure: bool  # whether the bytes are known; otherwise they are the most that pruning may leave
    psnr: float = math.nan  # dB, measured; NaN: never measured
    frame_ms: float = math.nan

    @property
    def name(self) -> str:
        """Architecture and preset."""
        return f"{self.architecture} {self.preset}"

    @property
    def measured(self) -> bool:
        """Whether a table has it."""
        return not math.isnan(self.psnr)

    @property
    def words(self) -> str:
        """Its figures, for a person."""
        held = f"{'about' if self.sure else 'at most'} {size(self.bytes)}"
        if not self.measured:
            return f"{self.name}, {held}, never measured"
        return f"{self.name}, {self.psnr:.2f} dB, {held}, {self.frame_ms:.0f} ms per frame"

    @property
    def scale(self) -> str:
        """tiny, small, base or large: the preset without its variant."""
        return self.preset.rpartition("-")[2]


def overhead(path: Path, header: Header) -> int:
    """Bytes of a model file besides its weights: occupancy, cameras, thumbnail, names. Another architecture's file has
    nearly the same of the same scene."""
    return path.stat().st_size - sum(t.numel() * t.itemsize for t in skeleton(path, header).values())


def choose(
    wanted: Wanted, teacher: Header, overhead: int, device: str, *, edited: bool = False, path: Path = Path("the model")
) -> Choice:
    """Architecture and preset for this teacher, file overhead in bytes, and kind of device, cpu or cuda.

    With `edited` the teacher's own shape is as good as any. ValueError, in one line, for a name that there is not,
    for the teacher's own shape, and where nothing meets the limits, with the nearest.
    """
    names = fields.NAMES if wanted.to == AUTO else (wanted.to,)
    shapes = {(n, p): preset_of(n, p) for n in names for p in fields.module(n).PRESETS if fits_name(wanted, n, p)}
    if not shapes:
        if wanted.to != AUTO:
            preset_of(wanted.to, wanted.preset)  # says which there are
        raise ValueError(f"--preset: no architecture has {wanted.preset!r} (there are: {', '.join(SIZES)}, {HEAVY})")
    tables = read_tables()
    table = nearest_table(tables, teacher, device)
    found = [candidate(*shape, table, overhead, prunes(shape[0], tables)) for shape in shapes]
    own = {key for key, shape in shapes.items() if is_of(teacher, shape) and not edited}
    if wanted.to == AUTO:
        chosen, why = of_all([c for c in found if (c.architecture, c.preset) not in own], wanted, table)
    elif wanted.preset == AUTO:
        chosen, why = of_one(found, wanted, device, bool(tables) and table.kind == device)
    else:
        chosen, why = found[0], checked(found[0], wanted)
    if (chosen.architecture, chosen.preset) in own:
        raise ValueError(f"{path}: is already of this shape, {chosen.name}; choose another --to or --preset")
    source = (protocol(table, teacher, device),) if any(c.measured for c in found) else ()
    lines = (f"into {chosen.words}", *why, *ceiling(teacher, wanted), *source)
    return Choice(shapes[chosen.architecture, chosen.preset], chosen.preset, lines)


def fits_name(wanted: Wanted, name: str, preset: str) -> bool:
    """Whether a preset is one that was asked for. Where the architecture is free, a size stands for its variants."""
    if wanted.preset == AUTO or wanted.preset == preset:
        return True
    return wanted.to == AUTO and preset.endswith(f"-{wanted.preset}")


def is_of(teacher: Header, shape: Shape) -> bool:
    """Whether a teacher has the shape that this one ends in."""
    return teacher.architecture == shape.name and teacher.shape.final == shape.final


def nearest_table(tables: list[MeasuredTable], teacher: Header, device: str) -> MeasuredTable:
    """The measured table that says most here: of the same kind of device, then of the same scene at the same size,
    then the one with the most rows and the longest time. Without rows where there is none."""
    return max(
        tables,
        key=lambda t: (t.kind == device, *likeness(t, teacher), len(t.rows), t.seconds),
        default=MeasuredTable("", 0.0, "", "", ()),
    )


def likeness(table: MeasuredTable, teacher: Header) -> tuple[bool, bool]:
    """Whether a table was measured on the scene that a teacher was trained on, and on pictures of the same size."""
    recipe = teacher.provenance.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}  # other programs may write model files
    name, _, downscale = table.data.partition(" --downscale ")
    scene = PureWindowsPath(str(recipe.get("data", ""))).name.partition(":")[0] == name.partition(":")[0]
    return scene, scene and str(recipe.get("downscale", 1)) == (downscale or "1")


def candidate(name: str, preset: str, table: MeasuredTable, overhead: int, pruned: bool) -> Candidate:
    """A preset with its figures. Where its architecture prunes, the bytes are those that were measured."""
    _, weights = counted(name, preset)
    row = table.find(name, preset)
    if row is None:
        return Candidate(name, preset, weights + overhead, not pruned)
    held = row.model_bytes if pruned else weights + overhead
    return Candidate(name, preset, held, True, row.psnr, row.frame_ms)


@functools.cache
def counted(name: str, preset: str) -> tuple[int, int]:
    """Parameters of a preset and bytes of its weights in a file, after all growth and before pruning."""
    final = preset_of(name, preset).final
    return final.parameters, final.stored_bytes


def prunes(name: str, tables: list[MeasuredTable]) -> bool:
    """Whether some measured field of an architecture ended with fewer parameters than its preset allows."""
    rows = [row for table in tables for row in table.rows if row.architecture == name]
    return any(row.parameters < counted(name, row.preset)[0] for row in rows)


def misses(one: Candidate, wanted: Wanted) -> dict[str, float]:
    """The limits that a candidate does not meet, each with by how much, in doublings of bytes, squared error or time;
    infinite where it was never measured."""
    over: dict[str, float] = {}
    if wanted.max_bytes is not None:
        over["--max-bytes"] = math.log2(one.bytes / wanted.max_bytes)
    if wanted.min_psnr is not None:
        over["--min-psnr"] = (wanted.min_psnr - one.psnr) / DOUBLING
    if wanted.max_frame_ms is not None:
        over["--max-frame-ms"] = math.log2(one.frame_ms / wanted.max_frame_ms)
    over = {flag: math.inf if math.isnan(value) else value for flag, value in over.items()}
    return {flag: value for flag, value in over.items() if value > 0}


def ranked(found: list[Candidate]) -> list[Candidate]:
    """Measured candidates, best first: within TIE of the best by size, then by PSNR."""
    best = max((c.psnr for c in found), default=0.0)
    close = sorted((c for c in found if c.psnr >= best - TIE), key=lambda c: (c.bytes, -c.psnr))
    return close + sorted((c for c in found if c.psnr < best - TIE), key=lambda c: -c.psnr)


def of_all(found: list[Candidate], wanted: Wanted, table: MeasuredTable) -> tuple[Candidate, list[str]]:
    """The best of all architectures, and why. What was never measured, and what is HEAVY, does not compete."""
    usual = [c for c in found if c.scale != HEAVY]
    known = [c for c in usual if c.measured]
    if not known:
        where = f" on {table.data}" if table.rows else ""
        raise ValueError(f"--to auto: no such preset was measured{where}; name an architecture with --to")
    order = ranked([c for c in known if not misses(c, wanted)])
    if not order:
        small = min((c for c in usual if not c.measured and c.sure), key=lambda c: c.bytes, default=None)
        raise ValueError(f"no measured preset {nearest(known, wanted)}{hint(small, known, wanted)}")
    return order[0], [met(order[0], wanted), *beaten(order, known, wanted)]


def hint(small: Candidate | None, known: list[Candidate], wanted: Wanted) -> str:
    """What to name where only the bytes are too few for all that was measured, and something else fits."""
    if small is None or not all("--max-bytes" in misses(c, wanted) for c in known):
        return ""
    if "--max-bytes" in misses(small, wanted):
        return ""
    flags = f"--to {small.architecture} --preset {small.preset}"
    return f"; never measured, but about {size(small.bytes)}: {flags}"


def beaten(order: list[Candidate], known: list[Candidate], wanted: Wanted) -> list[str]:
    """Who came second and why; who would have come before without the limits."""
    first, lines = order[0], []
    barred = [c for c in known if misses(c, wanted)]
    if order[1:]:
        gap = order[1].psnr - first.psnr
        reason = f"{gap:.2f} dB more, which is a tie, in a larger file" if gap > 0 else f"{-gap:.2f} dB less"
        lines.append(f"second: {order[1].words}; {reason}")
    elif barred:
        second = least(barred, wanted)
        lines.append(f"second: {second.words}; misses {limits(wanted, misses(second, wanted))}")
    better = next((c for c in ranked(barred) if c.psnr > first.psnr + TIE), None)
    if better:
        lines.append(f"without {limits(wanted, misses(better, wanted))}: {better.words}")
    return lines


def of_one(found: list[Candidate], wanted: Wanted, device: str, known: bool) -> tuple[Candidate, list[str]]:
    """The preset of one architecture that suits the device and the limits, and why: the best where presets were
    measured on this kind of device (`known`), else the largest. Nothing above the usual size, which would take long.
    """
    usual = [c for c in found if c.scale in SIZES[: SIZES.index(PRESET[device]) + 1]]
    if not wanted.limits():
        return next(c for c in usual if c.preset == PRESET[device]), [f"{PRESET[device]} is the usual size on {device}"]
    fit = [c for c in usual if not misses(c, wanted)]
    above = [c for c in found if c.scale in SIZES and c not in usual and "--max-bytes" not in misses(c, wanted)]
    words = [f"larger, and longer to convert into: --preset {c.preset} ({c.words})" for c in above[:1]]
    if not fit:
        raise ValueError("; ".join([f"no usual {wanted.to} preset {nearest(usual, wanted)}", *words]))
    order = ranked([c for c in fit if c.measured and known]) or sorted(fit, key=lambda c: -c.bytes)
    return order[0], [met(order[0], wanted), *words]


def checked(one: Candidate, wanted: Wanted) -> list[str]:
    """What the limits say of a preset that was named. ValueError where its bytes are known and too many; what was
    measured elsewhere is no reason to refuse it."""
    over = misses(one, wanted)
    if "--max-bytes" in over and one.sure:
        raise ValueError(f"{limits(wanted, ['--max-bytes'])}: {one.name} takes about {size(one.bytes)}")
    if "--max-bytes" in over:
        return [f"whether pruning leaves less than {limits(wanted, ['--max-bytes'])} was never measured"]
    unknown = [flag for flag, value in over.items() if math.isinf(value)]
    if unknown:
        return [f"never measured: {limits(wanted, unknown)} can only be told afterwards"]
    return [f"as measured it would miss {limits(wanted, over)}"] if over else [met(one, wanted)] * bool(wanted.limits())


def met(one: Candidate, wanted: Wanted) -> str:
    """That all limits are met."""
    given = wanted.limits()
    return f"meets {limits(wanted, given)}" if given else "no limits were set: the best that was measured"


def limits(wanted: Wanted, flags: Any) -> str:
    """Limits for a person, those of the flags."""
    return " and ".join(words for flag, words in wanted.limits().items() if flag in flags)


def least(found: list[Candidate], wanted: Wanted) -> Candidate:
    """The one that misses the limits by least, altogether."""
    return min(found, key=lambda c: (sum(misses(c, wanted).values()), c.bytes))


def nearest(found: list[Candidate], wanted: Wanted) -> str:
    """Why none of these will do."""
    given, second = wanted.limits(), least(found, wanted)
    over = misses(second, wanted)
    if math.inf in over.values():
        return f"was measured, to be held against {limits(wanted, given)}; name the --preset"
    words = {"--max-bytes": "smallest", "--min-psnr": "best", "--max-frame-ms": "fastest"}
    which = words[next(iter(given))] if len(given) == 1 else "nearest"
    missing = f", which misses {limits(wanted, over)}" if len(given) > 1 else ""
    return f"meets {limits(wanted, given)}; the {which} is {second.words}{missing}"


def ceiling(teacher: Header, wanted: Wanted) -> list[str]:
    """That a student seldom gets better than its teacher, where the teacher itself has less than is wanted."""
    own = teacher.scored
    if wanted.min_psnr is None or own is None or own >= wanted.min_psnr:
        return []
    return [f"the model itself has {own:.2f} dB ({teacher.metrics.get('scored_on')}): a student seldom has more"]


def protocol(table: MeasuredTable, teacher: Header, device: str) -> str:
    """Where the figures come from, and what they are worth here."""
    scene = "this scene" if likeness(table, teacher)[0] else "another scene"
    where = "" if table.kind == device else f", as nothing was measured on {device} yet"
    return (
        f"measured on {scene}, {table.data}, after {table.seconds:g} s of training from photographs "
        f"({table.device}{where}; {table.scored_on}): an expectation, not a promise"
    )


def missed(wanted: Wanted, metrics: Metrics) -> Iterator[str]:
    """Limits that the result does not keep, one line each."""
    quality, bytes_taken = metrics.quality, metrics.effort.model_bytes
    if wanted.max_bytes is not None and bytes_taken > wanted.max_bytes:
        yield f"the file has {size(bytes_taken)}, more than --max-bytes {size(wanted.max_bytes)}"
    if wanted.min_psnr is not None and quality.psnr < wanted.min_psnr:
        yield f"{quality.psnr:.2f} dB ({quality.protocol}) is less than --min-psnr {wanted.min_psnr:g}"
    if wanted.max_frame_ms is not None and metrics.frame_ms > wanted.max_frame_ms:
        yield f"a frame took {metrics.frame_ms:.0f} ms, more than --max-frame-ms {wanted.max_frame_ms:g}"
