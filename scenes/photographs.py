"""Photographs looked over before training: how sharp and how bright each is beside its neighbours, and which of them
are blurred, wrongly exposed, empty, taken twice, or taken from where no picture should be."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from scenes.coverage import INWARD, facing, middle
from scenes.placing.box import cube, ray_shares
from scenes.scene import Scene, View

NEIGHBOURS = 8  # nearest cameras that a picture is compared with; fewer name nothing
STRAY = 4.0  # robust standard deviations below its neighbours from which a picture counts as blurred
BLUR = 0.4  # and at most this share of their sharpness
LIT = 3.0  # robust standard deviations from its neighbours from which a picture counts as darker or brighter
STOPS = 0.7  # and at least this far from their brightness; untouched phone captures reach 0.40, renders 0.66
BEYOND = 0.35  # stops, and this far beyond all of them but one
CLIPPED = 0.3  # share of pixels blown out, or black, beyond the neighbours'; our real captures reach 0.19
BLANK = 0.99  # share of a picture that is black or white, from which it shows nothing
NEAR = 0.5  # times the usual distance from the middle: a camera in the box but farther off stands in a hull too wide
FAR = 2.5  # times the usual distance from the middle; our real captures reach 1.4
AWAY = 0.75  # share of the cameras that must look at the middle, before one that does not is told
PLAIN, EVEN = 12, 0.9  # levels off a plain colour, and share of an edge that is; an object may touch the edge
DARKEST = 2.0**-8  # linear; darker values are noise of 8 bits
SAMPLE = 1 << 17  # pixels of a picture, about, that exposure is taken from
SAME_PLACE = 1e-4  # scene units between cameras that count as one
SAME_ANGLE = 1e-3  # radians between their axes
SRGB = np.arange(256) / 255
LINEAR = np.where(SRGB <= 0.04045, SRGB / 12.92, ((SRGB + 0.055) / 1.055) ** 2.4)  # (256,) light of a stored value
LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue (ITU-R BT.709)

Kind = Literal["blank", "blurred", "darker", "brighter", "blown out", "black", "inside", "far", "away", "duplicate"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Finding:
    """What looks wrong with a photograph."""

    kind: Kind
    text: str  # a few words


@dataclass(frozen=True)
class PhotoCheck:
    """What is known of a view's picture."""

    name: str
    split: Literal["train", "test"]
    sharpness: float  # over that of its neighbours: 1 is as sharp
    stops: float  # brighter than its neighbours, negative: darker; 0 for one that shows nothing
    findings: list[Finding]


@dataclass(frozen=True)
class Light:
    """How a picture is exposed, over its pixels that are valid and not empty."""

    level: float  # mean of log2 of the luminance, linear light; NaN: the picture shows nothing
    white: float  # share with all channels at 253 or more
    black: float  # share with none above 3


def look_over(scene: Scene, pairs: Sequence[tuple[int, int]]) -> list[PhotoCheck]:
    """All photographs of a scene, train before test, with what looks wrong with each; `pairs` are the duplicates."""
    views = (*scene.train, *scene.test)
    near = neighbours(views)
    sharp = beside(torch.tensor([math.log(max(sharpness(view), 1e-9)) for view in views]), near)
    lights = [light(view) for view in views]
    levels = torch.tensor([one.level for one in lights])
    stops = beside(levels, near)
    findings: list[list[Finding]] = [[] for _ in views]
    for found in (
        _blank(lights),
        _blurred(sharp),
        _exposed(levels, near),
        _clipped(lights, near),
        _placed(scene, views),
        [(j, Finding("duplicate", "duplicate")) for j in sorted({j for _, j in pairs})],
    ):
        for i, finding in found:
            if not any(f.kind == "blank" for f in findings[i]) or finding.kind not in ("blurred", "blown out", "black"):
                findings[i].append(finding)
    return [
        PhotoCheck(view.name, "train" if i < len(scene.train) else "test", math.exp(s), 0.0 if math.isnan(b) else b, f)
        for i, (view, s, b, f) in enumerate(zip(views, sharp.tolist(), stops.tolist(), findings, strict=True))
    ]


def brightness_spread(photographs: Sequence[PhotoCheck]) -> float:
    """Stops between a picture's brightness and its neighbours', robust standard deviation."""
    return _spread(torch.tensor([photo.stops for photo in photographs]))


def sharpness_spread(photographs: Sequence[PhotoCheck]) -> float:
    """Factor between a picture's sharpness and its neighbours', typically; 1 where all are as sharp."""
    return math.exp(_spread(torch.tensor([math.log(photo.sharpness) for photo in photographs])))


def sharpness(view: View) -> float:
    """Variance of the Laplacian over variance of the picture, in green and on white: unitless, lower where blurred."""
    pixels = view.image.numpy()
    grey = np.where(pixels[..., 3] == 0, 255, pixels[..., 1]).astype(np.float32)
    if min(grey.shape) < 3:
        return 0.0
    across = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    return float(across.var() / max(grey.var(), 1e-3))


def light(view: View) -> Light:
    """Exposure of a picture, from every n-th row and column of a large one."""
    step = max(1, math.isqrt(view.valid.numel() // SAMPLE))
    pixels, valid = view.image[::step, ::step].numpy(), view.valid[::step, ::step].numpy()
    shown = pixels[valid & (pixels[..., 3] > 0)][:, :3]  # (N, 3)
    if not len(shown):
        return Light(math.nan, 0.0, 0.0)
    white, black = float((shown.min(-1) >= 253).mean()), float((shown.max(-1) <= 3).mean())
    level = np.log2(np.maximum(LINEAR[shown] @ np.array(LUMINANCE), DARKEST)).mean()
    return Light(math.nan if white + black >= BLANK else float(level), white, black)


def neighbours(views: Sequence[View]) -> Tensor:
    """Indices (M, K) of the nearest views of each by place and direction; K is NEIGHBOURS, or all others."""
    apart = _apart(views) + _turned(views)  # (M, M), a radian weighs like a scene unit
    return apart.fill_diagonal_(math.inf).topk(min(NEIGHBOURS, len(views) - 1), largest=False).indices


def beside(values: Tensor, near: Tensor) -> Tensor:
    """Values (M,) minus the median of those of their neighbours (M, K); NaN values do not count as neighbours."""
    if not near.shape[1]:
        return torch.zeros_like(values)
    return values - values[near].nanmedian(-1).values


def duplicates(views: Sequence[View]) -> list[tuple[int, int]]:
    """Indices of pairs that were taken from one place in one direction, or whose pixels are equal."""
    same = (_apart(views) < SAME_PLACE) & (_turned(views) < SAME_ANGLE)
    digests = [hashlib.blake2b(view.image.numpy().tobytes(), digest_size=16).digest() for view in views]
    first: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        same[first.setdefault(digest, i), i] = True
    return [(i, j) for i, j in same.triu(1).nonzero().tolist()]


def _spread(values: Tensor) -> float:
    """Robust standard deviation of values (M,) without those that are NaN; 0 for none."""
    kept = values[~values.isnan()]
    return 1.4826 * float((kept - kept.median()).abs().median()) if len(kept) else 0.0


def _blank(lights: Sequence[Light]) -> list[tuple[int, Finding]]:
    return [(i, Finding("blank", "shows nothing")) for i, one in enumerate(lights) if math.isnan(one.level)]


def _blurred(sharp: Tensor) -> list[tuple[int, Finding]]:
    """Pictures much less sharp than those taken from nearby, of nine or more; `sharp` (M,): logarithms of the ratio."""
    if len(sharp) <= NEIGHBOURS:
        return []
    strays = (sharp < -STRAY * max(_spread(sharp), 0.05)) & (sharp < math.log(BLUR))
    return [(i, Finding("blurred", "blurred")) for i in strays.nonzero()[:, 0].tolist()]


def _exposed(levels: Tensor, near: Tensor) -> list[tuple[int, Finding]]:
    """Pictures much darker or brighter than those taken from nearby, of nine or more, by their `levels` (M,).

    Neighbours, not all pictures, are compared: the lit and the shaded side of our captures differ by up to 2.4 stops.
    Darkened by a stop, 96 to 100 % of the pictures of chair, drums, fox, fruit, fern and the built-in scene are found,
    with no other; where light comes from one side or pictures are few (lego, DTU, 46 and 25 of them) it is a half and
    a quarter, with one other.
    """
    if len(levels) <= NEIGHBOURS:
        return []
    stops = beside(levels, near)
    around = levels[near].sort(-1).values  # (M, K), NaN last
    beyond = torch.maximum(levels - around[:, -2], around[:, 1] - levels)
    strays = (stops.abs() > max(LIT * _spread(stops), STOPS)) & ~(beyond <= BEYOND)
    found = []
    for i in strays.nonzero()[:, 0].tolist():
        kind: Kind = "darker" if stops[i] < 0 else "brighter"
        found.append((i, Finding(kind, f"{abs(float(stops[i])):.1f} stops {kind}")))
    return found


def _clipped(lights: Sequence[Light], near: Tensor) -> list[tuple[int, Finding]]:
    """Pictures with much more of white or black than those taken from nearby."""
    found = []
    kinds: tuple[Kind, Kind] = ("blown out", "black")
    for kind, shares in zip(kinds, ([o.white for o in lights], [o.black for o in lights]), strict=True):
        more = beside(torch.tensor(shares), near) > CLIPPED
        found += [(i, Finding(kind, f"{shares[i]:.0%} {kind}")) for i in more.nonzero()[:, 0].tolist()]
    return found


def _placed(scene: Scene, views: Sequence[View]) -> list[tuple[int, Finding]]:
    """Where the cameras look at one place: those within the object's box, or the core of an open scene, those that
    stand far off, and those that look elsewhere."""
    positions = torch.stack([view.camera.pose[:3, 3] for view in views])
    box = scene.box if scene.transparent else cube(1)
    distance = (positions - middle(scene)).norm(dim=-1)
    times = distance / distance.median()
    within = ((positions > box[0]) & (positions < box[1])).all(-1) & (times < NEAR)
    inside = Finding("inside", "inside the box" if scene.transparent else "inside the core")
    share = facing(scene)
    object_shown = scene.transparent or share >= INWARD
    found = [(i, inside) for i in within.nonzero()[:, 0].tolist()] if object_shown else []
    if share < AWAY:
        return found
    found += [(i, Finding("far", f"{times[i]:.1f} x as far away")) for i in (times > FAR).nonzero()[:, 0].tolist()]
    missing = [i for i, view in enumerate(views) if not ray_shares([view.camera], box)[1]]
    return found + [(i, Finding("away", "looks elsewhere")) for i in missing]


def _apart(views: Sequence[View]) -> Tensor:
    """Distances (M, M) between cameras in scene units."""
    positions = torch.stack([view.camera.pose[:3, 3] for view in views]).double()
    return torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")


def _turned(views: Sequence[View]) -> Tensor:
    """Angles (M, M) in radians by which cameras are turned against one another."""
    turns = torch.stack([view.camera.pose[:3, :3] for view in views]).double().flatten(1)
    apart = torch.cdist(turns, turns, compute_mode="donot_use_mm_for_euclid_dist")  # sqrt(8) sin(angle / 2)
    return 2 * (apart / 8**0.5).clamp(max=1).asin()


def plain_share(views: Sequence[View]) -> float:
    """Share of the pictures whose edges, a twentieth of their sides wide, show one and the same colour: nine tenths of
    the edge's pixels within PLAIN levels of what the edges of all pictures show in the median."""
    edges = [_edge(view.image[..., :3]) for view in views]
    common = torch.stack([edge.float().median(0).values for edge in edges]).median(0).values
    near = [((edge.float() - common).abs().amax(-1) <= PLAIN).float().mean() for edge in edges]
    return sum(float(share) >= EVEN for share in near) / len(views)


def _edge(image: Tensor) -> Tensor:
    """Pixels (N, C) along the four sides of a picture (H, W, C)."""
    high, wide = (max(1, side // 20) for side in image.shape[:2])
    parts = image[:high], image[-high:], image[:, :wide], image[:, -wide:]
    return torch.cat([part.reshape(-1, image.shape[-1]) for part in parts])
