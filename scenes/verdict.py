"""Will this work, and why not: the answer that an examination leads to, each reason with what to do about it.

Thresholds come from captures that are known to work (chair, drums, lego, fox, fern, fruit, DTU, the built-in scene) and
from lego at 200 x 200 (40 train views) trained again with less or worse, 600 steps of a tiny hash grid: 25.3 dB as it
is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scenes.checks import EXPOSED, Examination
from scenes.coverage import name_side
from scenes.photographs import Finding

SHOWN = 4  # names listed of suspicious pictures
TOO_FEW, FEW = 9, 15  # train views: 8 gave 16.7 dB, 12 gave 22.3, 20 gave 25.1
NARROW = 30.0  # degrees between the outermost cameras, within which it takes fewer: fern, 18 degrees wide, gave
NARROW_TOO_FEW, NARROW_FEW = 4, 5  # 20.2 dB of 17, 19.8 of 9, 19.9 of 5, 16.4 of 3
WIDE = 100.0  # degrees of azimuth without a picture: a wedge of 90 cut out lost nothing, 120 lost 0.9 dB, 180 1.3 dB
STILL = 8.0  # degrees between the outermost cameras, seen from the middle; fern, which works, has 18
MISSED = 0.34  # share of missing pictures; fox, which works, lacks 0.25
OFF_CORE = 0.3  # share of the rays that cross the core; our captures have 0.66 or more
LONELY = 3  # train views of the typical point: two give one distance, and none to check it
CROWDED = 0.5  # share of the pictures with one fault, from which the fault is the capture's
UNLIKE = 0.05  # share of pictures exposed otherwise: a tenth a stop darker cost 0.9 dB; our captures have at most 0.04
SOFT = 0.15  # share of blurred pictures: a tenth lost nothing, a quarter 0.5 dB, half 2.3 dB
UNSTEADY = 2.0  # sharpness from picture to picture; our captures have at most 1.6, with half of them blurred it is 2.9
UNEVEN = 0.5  # stops from picture to picture; our captures under steady light have at most 0.40; half of the pictures a
# stop darker cost 2.4 dB, half a stop 0.4 dB


@dataclass(frozen=True)
class Reason:
    """One thing that stands against a capture, or that a person should know."""

    weight: Literal["blocks", "limits", "note"]
    text: str  # what is so, one line
    advice: str  # what to do about it, one line; empty: nothing


@dataclass(frozen=True)
class Verdict:
    """Whether training will give something worth looking at."""

    answer: Literal["yes", "yes, but", "unlikely"]
    reasons: list[Reason]  # the heaviest first


def judge(report: Examination) -> Verdict:
    """The answer and its reasons."""
    found = [*_amount(report), *_sides(report), *_places(report), *_quality(report), *_notes(report)]
    weights = ("blocks", "limits", "note")
    reasons = sorted(found, key=lambda reason: weights.index(reason.weight))
    heaviest = reasons[0].weight if reasons else "note"
    return Verdict("unlikely" if heaviest == "blocks" else "yes, but" if heaviest == "limits" else "yes", reasons)


def _amount(report: Examination) -> Iterable[Reason]:
    """Enough pictures that show something?"""
    blank = report.named("blank")
    views = report.train + report.test
    if blank:
        text = f"showing nothing, all black, white or masked: {_listed(blank)}"
        if len(blank) >= CROWDED * views:
            yield Reason("blocks", text, "check the files and their masks: a wrong bit depth, black and white swapped?")
        else:
            yield Reason("limits", text, "leave them out")
    if not report.transparent and report.plain_share > CROWDED:
        text = "an object on a plain background without alpha: the background is learnt as a fog around it"
        yield Reason("limits", text, "cut the object out, and save the pictures with alpha (RGBA .png)")
    narrow = report.coverage.inward and report.coverage.span < NARROW
    too_few, few = (NARROW_TOO_FEW, NARROW_FEW) if narrow else (TOO_FEW, FEW)
    if report.train < few:
        weight = "blocks" if report.train < too_few else "limits"
        words = f"only {report.train} picture{'s' * (report.train != 1)} to train on"
        yield Reason(weight, words, "take more, 20 at least, better 40 to 100")
    for fact in report.facts:
        if fact.kind == "missing":
            weight = "limits" if fact.pictures > MISSED * (fact.pictures + views) else "note"
            yield Reason(weight, fact.text, "put them back, or go on with --skip-missing")
        if fact.kind == "doubtful":
            yield Reason("limits", fact.text, "")


def _sides(report: Examination) -> Iterable[Reason]:
    """Photographed from all sides, and with the cameras apart?"""
    coverage = report.coverage
    first, last = coverage.gap_between
    if coverage.inward and coverage.span < STILL:
        text = f"the cameras hardly move: {coverage.span:.0f} degrees between the outermost two"
        yield Reason("blocks", text, "walk around the object while taking pictures")
    elif coverage.inward and coverage.gap > 180:
        text = f"seen only {name_side(coverage)}"
        yield Reason("limits", text, "show it from there only, or take pictures from the other side too")
    elif coverage.inward and coverage.gap > WIDE:
        text = f"a side is missing: no picture for {coverage.gap:.0f} degrees between {first} and {last}"
        yield Reason("limits", text, "take pictures there")
    elif not coverage.inward and not report.transparent:
        text = "the cameras look at no common place: a room or a view, not an object"
        yield Reason("limits", text, "expect a look around from where they stand; for an object, walk around it")
    if coverage.inward and coverage.seen_typical < LONELY:
        text = f"the typical point is in {coverage.seen_typical} pictures"
        yield Reason("limits", text, "take more pictures that overlap, or check the masks")
    if report.rays_core < OFF_CORE:
        text = f"only {report.rays_core:.1%} of the rays cross the core; see the picture"
        yield Reason("limits", text, "keep the object larger and in the middle of the pictures")


def _places(report: Examination) -> Iterable[Reason]:
    """Do the poses look right?"""
    if report.hull_failed:
        yield Reason("limits", "the cut-outs have no place in common", "wrong poses or masks: run COLMAP again")
    inside = report.named("inside")
    if inside:
        advice = "wrong poses, or remains in the empty parts: check them, or leave these out"
        yield Reason("limits", f"taken from inside the object or core: {_listed(inside)}", advice)
    for text, names in (
        ("far away from all others", report.named("far")),
        ("looking elsewhere", report.named("away")),
    ):
        if names:
            yield Reason("limits", f"{text}: {_listed(names)}", "probably wrong poses: leave them out")


def _quality(report: Examination) -> Iterable[Reason]:
    """Are the pictures sharp and evenly exposed?"""
    views = report.train + report.test
    if blurred := report.named("blurred"):
        weight = "limits" if len(blurred) >= SOFT * views else "note"
        yield Reason(weight, f"blurred: {_listed(blurred)}", "leave them out")
    if exposed := report.named(*EXPOSED):
        named = {photo.name: photo for photo in report.photographs if photo.name in exposed}
        said = [f"{name} ({_exposure(named[name].findings)})" for name in exposed]
        weight = "limits" if len(exposed) >= UNLIKE * views else "note"
        yield Reason(weight, f"exposed otherwise than their neighbours: {_listed(said)}", "look, or leave them out")
    if report.sharpness_spread > UNSTEADY:
        text = f"sharpness changes {report.sharpness_spread:.1f}-fold from picture to picture: many are blurred"
        yield Reason("limits", text, "see the bars of the contact sheet, and take the blurred ones again")
    if report.brightness_spread > UNEVEN:
        text = f"brightness changes by {report.brightness_spread:.1f} stops from picture to picture"
        yield Reason("limits", text, "fix the camera's exposure, or the light, while taking them")


def _notes(report: Examination) -> Iterable[Reason]:
    """What does no harm."""
    if report.duplicates:
        pairs = _listed([" = ".join(pair) for pair in report.duplicates])
        views = report.train + report.test
        weight = "limits" if len(report.named("duplicate")) >= CROWDED * views else "note"
        yield Reason(weight, f"duplicates: {pairs}", "they count once; test pictures must be no copies of train ones")
    if not report.test:
        yield Reason("note", "no test views, so training cannot be scored", "")


def _exposure(findings: Sequence[Finding]) -> str:
    """The words about exposure."""
    return ", ".join(finding.text for finding in findings if finding.kind in EXPOSED)


def _listed(names: Sequence[str]) -> str:
    """How many, and the first few names."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{rest}"
