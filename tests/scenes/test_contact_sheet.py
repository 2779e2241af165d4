"""The contact sheet: which pictures are on it, how they look, and that all text lies in its cell."""

import dataclasses
from itertools import pairwise

import drawn
import pytest
import torch
from PIL import ImageColor

from scenes import contact_sheet, lettering
from scenes.assemble import load
from scenes.options import ReadOptions
from scenes.photographs import KINDS, Finding, PhotoCheck, look_over


def photos(count, wrong=()):
    found = [Finding("blurred", "blurred")]
    return [PhotoCheck(f"r_{i}.png", "train", 1.0, 0.0, found if i in wrong else []) for i in range(count)]


def scene_of(tmp_path, count=12):
    drawn.transforms(tmp_path, drawn.ring(count))
    scene = load(str(tmp_path), ReadOptions())
    return scene, [dataclasses.replace(photo, findings=[]) for photo in look_over(scene, [])]


def colours(picture):
    return {colour for _, colour in picture.getcolors(1 << 22) or []}


def test_all_pictures_are_shown_by_name_as_a_person_counts():
    chosen, told = contact_sheet.choose(photos(120, (3,))[::-1])
    assert chosen == [*range(119, -1, -1)]
    assert told == "all 120 pictures, by name; of note: 1"
    assert contact_sheet.choose(photos(2))[1].endswith("of note: none")


def test_of_many_all_of_note_and_an_even_choice_of_the_others():
    wrong = {7, 8, 9, 333, 480}
    chosen, told = contact_sheet.choose(photos(500, wrong))
    assert len(chosen) == 120 and wrong < {*chosen}
    others = [i for i in chosen if i not in wrong]
    assert max(b - a for a, b in pairwise(others)) <= 8
    assert told == "120 of 500 pictures: all 5 of note, the others chosen evenly"
    chosen, told = contact_sheet.choose(photos(500, range(200)))
    assert len(chosen) == 120 and max(chosen) < 200
    assert told.startswith("120 of 500 pictures: 120 of the 200 of note")
    assert contact_sheet.choose(photos(500))[1] == "120 of 500 pictures: chosen evenly, as none is of note"


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_colours_the_frame_and_is_written(tmp_path, kind):
    scene, looked = scene_of(tmp_path)
    colour = ImageColor.getrgb(contact_sheet.COLOURS[kind])
    plain = contact_sheet.draw(scene, looked)
    looked[2] = dataclasses.replace(looked[2], findings=[Finding(kind, "some words")])
    marked = contact_sheet.draw(scene, looked)
    assert marked.height == plain.height + contact_sheet.LINE  # for the words

    def count(picture):
        return sum(n for n, c in picture.getcolors(1 << 22) or [] if c == colour)

    assert count(marked) > count(plain) + 2 * 5 * 200  # two long sides of a frame, at least
    assert colour in colours(plain)  # the legend has it


def test_the_bar_is_as_long_as_the_picture_is_sharp(tmp_path):
    scene, looked = scene_of(tmp_path)
    green = ImageColor.getrgb("#7d9c7d")

    def filled(sharpness):
        same = [dataclasses.replace(photo, sharpness=sharpness) for photo in looked]
        return sum(n for n, c in (contact_sheet.draw(scene, same).getcolors(1 << 22) or []) if c == green)

    assert filled(0.5) == pytest.approx(filled(1.0) / 2, rel=0.1)
    assert filled(5.0) == filled(2.0)


def test_empty_parts_are_chequered_and_masked_ones_striped(tmp_path):
    view = load(str(drawn.blender(tmp_path)), ReadOptions()).train[0]
    seen = colours(contact_sheet.thumbnail(view, (48, 48)))
    assert {(255, 255, 255), (226, 226, 226)} <= seen
    valid = torch.ones(48, 48, dtype=torch.bool)
    valid[:24] = False
    masked = contact_sheet.thumbnail(dataclasses.replace(view, valid=valid), (48, 48))
    assert colours(masked.crop((0, 0, 48, 23))) == {(150, 150, 150), (190, 190, 190)}
    assert masked.crop((0, 25, 48, 48)).tobytes() == (
        contact_sheet.thumbnail(view, (48, 48)).crop((0, 25, 48, 48)).tobytes()
    )


@pytest.mark.parametrize("size", [(30, 20), (300, 90), (90, 300), (2000, 1500), (1, 1)])
def test_a_thumbnail_of_any_shape_fits_its_place(tmp_path, size):
    view = load(str(drawn.blender(tmp_path)), ReadOptions()).train[0]
    image = torch.full((size[1], size[0], 4), 128, dtype=torch.uint8)
    shaped = dataclasses.replace(view, image=image, valid=torch.ones(size[1], size[0], dtype=torch.bool))
    small = contact_sheet.thumbnail(shaped, (160, 120))
    assert small.width <= 160 and small.height <= 120
    assert small.width == 160 or small.height == 120


def test_text_is_never_wider_than_its_cell_nor_on_other_text(tmp_path, monkeypatch):
    """Every line that is written, by where it is written."""
    scene, looked = scene_of(tmp_path)
    words = [Finding("darker", "1.2 stops darker than all of its neighbours"), Finding("black", "40% black")]
    looked = [
        dataclasses.replace(photo, name=f"images/a long name of a picture, number {i} of them.jpeg", findings=words)
        for i, photo in enumerate(looked)
    ]
    written = []

    def write(pen, at, text, colour, size):
        written.append((at[0], at[1], at[0] + lettering.width(text, size), at[1] + size))
        return lettering.write(pen, at, text, colour, size)

    monkeypatch.setattr(contact_sheet, "write", write)
    sheet = contact_sheet.draw(scene, looked)
    assert len(written) > 12 * 4
    for i, space in enumerate(written):
        assert space[0] >= 0 and space[2] <= sheet.width and space[3] <= sheet.height
        assert not lettering.overlap(space, written[:i])


def test_names_that_are_cut_still_differ(tmp_path, monkeypatch):
    scene, looked = scene_of(tmp_path)
    looked = [
        dataclasses.replace(photo, name=f"images/WhatsApp Image 2026-11-28 at 13.{i:02} from here.jpeg")
        for i, photo in enumerate(looked)
    ]
    names = []
    monkeypatch.setattr(
        contact_sheet,
        "_cell",
        lambda v, p, name, s: names.append(name) or contact_sheet.Cell(contact_sheet.thumbnail(v, s), p, name, []),
    )
    contact_sheet.draw(scene, looked)
    assert len({*names}) == len(looked)
    assert "...07..." in names


def test_one_picture_makes_a_sheet(tmp_path):
    scene, looked = scene_of(tmp_path, 1)
    sheet = contact_sheet.draw(scene, looked)
    assert sheet.width > 600 and sheet.height > 150
