"""The verdict: what one fault at a time makes of a capture that works, and that captures which work are told so."""

import dataclasses

import drawn
import pytest

from scenes import checks
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.photographs import Finding
from scenes.scene import Fact
from scenes.verdict import judge


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Of a capture of twenty pictures, all around, with nothing wrong: what is drawn is coloured by direction, as no
    object is, so that its brightness is taken out."""
    scene = load(str(drawn.blender(tmp_path_factory.mktemp("good"), train=20)), ReadOptions())
    report = checks.examine(scene, "blender", "")
    photos = [dataclasses.replace(photo, findings=[]) for photo in report.photographs]
    return dataclasses.replace(report, photographs=photos, rays_core=0.8, brightness_spread=0.1)


def with_findings(report, kind, count, text=""):
    photos = [
        dataclasses.replace(photo, findings=[Finding(kind, text or kind)] if i < count else [])
        for i, photo in enumerate(report.photographs)
    ]
    return dataclasses.replace(report, photographs=photos)


def with_coverage(report, **changes):
    return dataclasses.replace(report, coverage=dataclasses.replace(report.coverage, **changes))


def told(report):
    verdict = judge(report)
    return verdict.answer, [reason.text for reason in verdict.reasons]


def test_a_good_capture_works_and_nothing_is_said(good):
    assert told(good) == ("yes", [])


def test_a_plain_background_without_alpha(good):
    fog = "an object on a plain background without alpha: the background is learnt as a fog around it"
    opaque = dataclasses.replace(good, transparent=False, plain_share=0.9)
    assert fog in told(opaque)[1]
    assert fog not in told(dataclasses.replace(opaque, plain_share=0.4))[1]
    assert fog not in told(dataclasses.replace(opaque, transparent=True))[1]


def test_what_is_doubtful_is_said(good):
    facts = [*good.facts, Fact("doubtful", "masks: they mask nothing"), Fact("assumed", "split: every 8th")]
    assert told(dataclasses.replace(good, facts=facts)) == ("yes, but", ["masks: they mask nothing"])


@pytest.mark.parametrize(("train", "answer"), [(1, "unlikely"), (8, "unlikely"), (9, "yes, but"), (14, "yes, but")])
def test_few_pictures(good, train, answer):
    words = "only 1 picture to train on" if train == 1 else f"only {train} pictures to train on"
    assert told(dataclasses.replace(good, train=train)) == (answer, [words])
    assert told(dataclasses.replace(good, train=15))[0] == "yes"


@pytest.mark.parametrize(("train", "answer"), [(3, "unlikely"), (4, "yes, but"), (5, "yes, but")])
def test_cameras_close_together_need_fewer(good, train, answer):
    narrow = with_coverage(dataclasses.replace(good, train=train), gap=342.0, span=18.0)
    side = "seen only from one side, 18 degrees of the round"
    few = [f"only {train} pictures to train on"] if train < 5 else []
    assert (told(narrow)[0], sorted(told(narrow)[1])) == (answer, sorted([side, *few]))


@pytest.mark.parametrize(
    ("changes", "answer", "words"),
    [
        ({"gap": 95.0}, "yes", ""),
        ({"gap": 120.0, "gap_between": ("a", "b")}, "yes, but", "no picture for 120 degrees between a and b"),
        ({"gap": 265.0}, "yes, but", "seen only from one side, 95 degrees of the round"),
        ({"gap": 354.0, "span": 6.0}, "unlikely", "the cameras hardly move: 6 degrees between the outermost two"),
        ({"seen_typical": 2}, "yes, but", "the typical point is in 2 pictures"),
        ({"seen_typical": 3}, "yes", ""),
    ],
)
def test_sides(good, changes, answer, words):
    got, reasons = told(with_coverage(good, **changes))
    assert got == answer
    assert words in " ".join(reasons)


def test_outward_cameras_are_told_unless_an_object_is_cut_out(good):
    outward = with_coverage(good, inward=False, gap=300.0)
    assert told(outward) == ("yes", [])
    answer, reasons = told(dataclasses.replace(outward, transparent=False, plain_share=0.0))
    assert (answer, len(reasons)) == ("yes, but", 1)
    assert reasons[0].startswith("the cameras look at no common place")


@pytest.mark.parametrize(
    ("kind", "count", "answer", "words"),
    [
        ("blurred", 2, "yes", "blurred: 2: train/r_0.png, train/r_1.png"),
        ("blurred", 5, "yes, but", "blurred: 5: train/r_0.png, train/r_1.png, train/r_2.png, train/r_3.png and 1 more"),
        ("darker", 1, "yes", "exposed otherwise than their neighbours: 1: train/r_0.png (darker)"),
        ("brighter", 2, "yes, but", "exposed otherwise than their neighbours: 2"),
        ("blank", 1, "yes, but", "showing nothing"),
        ("blank", 12, "unlikely", "showing nothing"),
        ("inside", 1, "yes, but", "taken from inside the object or core: 1: train/r_0.png"),
        ("far", 1, "yes, but", "far away from all others: 1: train/r_0.png"),
        ("away", 1, "yes, but", "looking elsewhere: 1: train/r_0.png"),
    ],
)
def test_findings_about_pictures(good, kind, count, answer, words):
    got, reasons = told(with_findings(good, kind, count))
    assert got == answer
    assert len(reasons) == 1
    assert reasons[0].startswith(words)


@pytest.mark.parametrize(
    ("changes", "answer", "words"),
    [
        ({"rays_core": 0.29}, "yes, but", "only 29.0% of the rays cross the core"),
        ({"hull_failed": True}, "yes, but", "the cut-outs have no place in common"),
        ({"brightness_spread": 0.45}, "yes", ""),
        ({"brightness_spread": 0.6}, "yes, but", "brightness changes by 0.6 stops from picture to picture"),
        ({"sharpness_spread": 1.6}, "yes", ""),
        ({"sharpness_spread": 2.5}, "yes, but", "sharpness changes 2.5-fold"),
        ({"duplicates": [["a", "b"]]}, "yes", "duplicates: 1: a = b"),
        ({"test": 0}, "yes", "no test views"),
        ({"facts": [Fact("missing", "missing: 2 of 25 pictures are missing", 2)]}, "yes", "missing: 2 of 25"),
        ({"facts": [Fact("missing", "missing: 20 of 43 pictures are missing", 20)]}, "yes, but", "missing: 20 of 43"),
    ],
)
def test_facts_about_the_capture(good, changes, answer, words):
    got, reasons = told(dataclasses.replace(good, **changes))
    assert got == answer
    assert words in " ".join(reasons)
    assert len(reasons) == bool(words)


def test_the_heaviest_reason_comes_first_and_every_one_but_notes_has_advice(good):
    report = with_findings(dataclasses.replace(good, train=8, test=0, rays_core=0.1), "blurred", 1)
    verdict = judge(report)
    assert [reason.weight for reason in verdict.reasons] == ["blocks", "limits", "note", "note"]
    assert all(reason.advice for reason in verdict.reasons if reason.weight != "note")
    assert all("\n" not in reason.text + reason.advice for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("nerf_synthetic_chair", "yes", ""),
        ("captures/drums_small", "yes", ""),
        ("captures/lego_small", "yes", ""),
        ("captures/ngp_fruit", "yes", ""),
        ("captures/llff_fern/transforms_by_hand.json", "yes, but", "seen only from one side, 18 degrees"),
        ("captures/kubric_klevr/transforms_by_hand.json", "unlikely", "only 2 pictures to train on"),
        ("trials/mask_one_test_picture_black", "unlikely", "leave nothing of 1 picture, left out: images/008.png"),
    ],
)
def test_captures(capture, name, answer, words):
    report = checks.examine(load(str(capture(name)), ReadOptions(max_resolution=400)), "", "")
    got, reasons = told(report)
    assert got == answer
    assert words in " ".join(reasons)
