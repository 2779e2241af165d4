"""Keys: every combination does one thing, which the help tells."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from render.looks import MODES
from viewer.front import keys


def test_no_combination_stands_twice():
    counted = Counter(c for b in keys.BINDINGS for c in b.combinations)
    assert [c for c, n in counted.items() if n > 1] == []
    assert [a for a, n in Counter(b.action for b in keys.BINDINGS).items() if n > 1] == []


def test_no_key_acts_and_flies():
    unmodified = {c for b in keys.BINDINGS for c in b.combinations} | {
        c.removeprefix("SHIFT+") for b in keys.BINDINGS for c in b.combinations
    }
    assert not unmodified & set(keys.HELD)


def test_modifiers_stand_in_the_order_that_is_looked_up():
    for binding in keys.BINDINGS:
        for combination in binding.combinations:
            *modifiers, key = combination.split("+")
            assert keys.find_action(key, modifiers[::-1]) == binding.action
            assert set(modifiers) <= {"ALT", "CTRL", "SHIFT"}


@pytest.mark.parametrize(
    ("key", "modifiers", "action"),
    [
        ("T", (), "train"),
        ("BRACKETLEFT", (), "previous_view"),
        ("BRACKETRIGHT", ["MOD_SHIFT"], "last_view"),
        ("BRACERIGHT", ["MOD_SHIFT"], "last_view"),
        ("G", (), "ground_truth"),
        ("R", (), "reset_view"),
        ("R", {"SHIFT"}, "reset_training"),
        ("R", {"MOD_NUMLOCK", "MOD_CAPSLOCK"}, "reset_view"),
        ("S", {"MOD_COMMAND"}, "save"),
        ("S", (), None),
        ("R", {"CTRL"}, None),
        ("Q", (), None),
        ("Z", {"CTRL"}, "undo"),
        ("Z", {"CTRL", "SHIFT"}, "redo"),
        ("ESCAPE", (), "escape"),
        ("_2", (), "mode_depth"),
        ("user_key(12)", (), None),
    ],
)
def test_keys_do_what_a_user_of_instant_ngp_expects(key, modifiers, action):
    assert keys.find_action(key, modifiers) == action


def test_every_mode_has_its_digit():
    assert [keys.find_action(f"_{k}") for k in range(1, len(MODES) + 1)] == [f"mode_{m}" for m in MODES]


def test_held_keys_add_up():
    assert keys.find_direction(()) == (0, 0, 0)
    assert keys.find_direction({"W", "D"}) == (1, 0, -1)
    assert keys.find_direction({"W", "S", "SPACE"}) == (0, 1, 0)
    assert keys.find_direction({"W", "UP", "T"}) == (0, 0, -1)
    assert keys.find_direction({"C"}, ["MOD_SHIFT"]) == (0, -keys.FASTER, 0)
    assert keys.find_direction({"S"}, ["MOD_CTRL"]) == (0, 0, 0)


def test_the_help_names_every_action():
    groups = keys.list_help()
    lines = [line for group in groups.values() for line in group]
    assert [*groups] == ["Mouse", *keys.GROUPS]
    assert len({told for _, told in lines}) == len(lines) == len(keys.BINDINGS) + len(keys.FLYING) + len(keys.MOUSE)
    assert ("[ Page Up", "look through the previous training view") in lines
    assert ("Ctrl+S", "save the model") in lines and ("1", "show color") in lines
    assert all(shown and told for shown, told in lines)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_help_is_spread_in_order_over_columns_of_about_one_length(count):
    groups = keys.list_help()
    columns = keys.spread_groups(groups, count)
    assert [name for column in columns for name, _ in column] == [*groups]
    assert len(columns) <= count
    lengths = [sum(len(lines) + 2 for _, lines in column) for column in columns]
    longest = max(len(lines) + 2 for lines in groups.values())
    assert max(lengths) <= sum(lengths) / count + longest


def test_names_are_pyglets():
    """In a process of its own: this one must not have imported a window toolkit. Names alone need no display."""
    pytest.importorskip("pyglet", reason="pyglet is not installed")
    names = sorted({c.split("+")[-1] for b in keys.BINDINGS for c in b.combinations} | set(keys.HELD))
    code = f"from pyglet.window import key; print([n for n in {names} if key.symbol_string(getattr(key, n, 0)) != n])"
    code = f"import pyglet; pyglet.options['headless'] = True; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        pytest.skip(f"pyglet cannot be imported here: {done.stderr.splitlines()[-1]}")
    assert done.stdout.strip() == "[]"


def test_no_window_toolkit_is_imported():
    code = "import sys, viewer.front.keys; sys.exit('pyglet' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_about_the_viewer_names_every_key():
    page = (Path(__file__).parents[3] / "docs" / "viewer.md").read_text(encoding="utf-8")
    lines = [f"| `{key}` | {does} |" for group in keys.list_help().values() for key, does in group]
    assert [line for line in lines if line not in page] == []
