"""Keys and what they do, as data: instant-ngp's where it has them. Keys are named as pyglet names them; no window."""

from collections.abc import Collection
from dataclasses import dataclass

from render.looks import MODES

FASTER = 4.0  # factor on the flying speed while Shift is held
HELD = {  # keys that fly while they are held, whatever Shift does: right, up, back
    "W": (0.0, 0.0, -1.0), "S": (0.0, 0.0, 1.0), "A": (-1.0, 0.0, 0.0), "D": (1.0, 0.0, 0.0),
    "UP": (0.0, 0.0, -1.0), "DOWN": (0.0, 0.0, 1.0), "LEFT": (-1.0, 0.0, 0.0), "RIGHT": (1.0, 0.0, 0.0),
    "SPACE": (0.0, 1.0, 0.0), "C": (0.0, -1.0, 0.0),
}  # fmt: skip
PRINTED = {
    "BRACKETLEFT": "[", "BRACKETRIGHT": "]", "BRACELEFT": "{", "BRACERIGHT": "}", "COMMA": ",", "PERIOD": ".",
    "LESS": "<", "GREATER": ">", "EQUAL": "=", "PLUS": "+", "MINUS": "-", "UNDERSCORE": "_", "PAGEUP": "Page Up",
    "PAGEDOWN": "Page Down", "TAB": "Tab", "SPACE": "Space", "ESCAPE": "Esc", "HOME": "Home",
}  # fmt: skip


@dataclass(frozen=True)
class Binding:
    """An action and the combinations that ask for it."""

    action: str
    combinations: tuple[str, ...]  # "R", "SHIFT+R", "CTRL+S"; modifiers in alphabetical order; the first ones are shown
    help: str
    shown: int = 1  # how many combinations the help names; the others are other layouts' and pads' for the same keys


GROUPS = {
    "See": (
        *(Binding(f"mode_{mode}", (f"_{k}", f"NUM_{k}"), f"show {mode}") for k, mode in enumerate([*MODES][:9], 1)),
        Binding("brighter", ("E",), "more exposure"),
        Binding("darker", ("SHIFT+E",), "less exposure"),
        Binding("box", ("N",), "show the scene box and the axes"),
        Binding("crop", ("X",), "show the crop box: drag its faces, and its knob to turn it"),
        Binding("undo", ("CTRL+Z",), "take back the last step of eye or crop box"),
        Binding("redo", ("CTRL+SHIFT+Z", "CTRL+Y"), "and again", 2),
    ),
    "Move": (
        Binding("reset_view", ("R", "HOME"), "the first look again", 2),
        Binding("orbit_or_fly", ("O",), "dragging orbits, or looks around"),
        Binding("set_up", ("U",), "what is up in the picture is up in the scene"),
        Binding("level", ("L",), "level the horizon"),
        Binding("roll_left", ("Z",), "tilt to the left"),
        Binding("roll_right", ("SHIFT+Z",), "tilt to the right"),
        Binding("faster", ("PLUS", "EQUAL", "SHIFT+EQUAL", "SHIFT+PLUS", "NUM_ADD"), "fly faster"),
        Binding("slower", ("MINUS", "SHIFT+MINUS", "UNDERSCORE", "SHIFT+UNDERSCORE", "NUM_SUBTRACT"), "fly slower"),
    ),
    "Lens": (
        Binding(
            "narrower", ("CTRL+PLUS", "CTRL+EQUAL", "CTRL+SHIFT+EQUAL", "CTRL+SHIFT+PLUS"), "narrower field of view"
        ),
        Binding("wider", ("CTRL+MINUS", "CTRL+SHIFT+MINUS", "CTRL+UNDERSCORE", "CTRL+SHIFT+UNDERSCORE"), "wider view"),
        Binding("focus_nearer", ("COMMA",), "focus nearer"),
        Binding("focus_farther", ("PERIOD",), "focus farther away"),
        Binding("focus_pivot", ("F",), "focus on what orbits turn around"),
        Binding("smaller_aperture", ("SHIFT+COMMA", "LESS", "SHIFT+LESS"), "more in focus"),
        Binding("larger_aperture", ("SHIFT+PERIOD", "GREATER", "SHIFT+GREATER"), "less in focus"),
    ),
    "Photographs": (
        Binding("previous_view", ("BRACKETLEFT", "PAGEUP"), "look through the previous training view", 2),
        Binding("next_view", ("BRACKETRIGHT", "PAGEDOWN"), "look through the next training view", 2),
        Binding("first_view", ("BRACELEFT", "SHIFT+BRACKETLEFT", "SHIFT+BRACELEFT", "SHIFT+PAGEUP"), "the first view"),
        Binding(
            "last_view", ("BRACERIGHT", "SHIFT+BRACKETRIGHT", "SHIFT+BRACERIGHT", "SHIFT+PAGEDOWN"), "the last view"
        ),
        Binding("ground_truth", ("G",), "lay the photograph over the picture"),
        Binding("blink", ("B",), "blink between photograph and picture"),
        Binding("cameras", ("V",), "show the cameras, with their photographs"),
        Binding("compare", ("M",), "panes side by side, wiped, or their difference"),
    ),
    "Train": (
        Binding("train", ("T",), "train, or pause"),
        Binding("step", ("SHIFT+T",), "one training step"),
        Binding("reset_training", ("SHIFT+R",), "train again from the beginning"),
    ),
    "Film": (
        Binding("keyframe", ("K",), "add a keyframe to the camera path"),
        Binding("preview", ("SHIFT+K",), "play the camera path"),
    ),
    "Files and window": (
        Binding("screenshot", ("P",), "write a screenshot"),
        Binding("open", ("CTRL+O",), "open a model, photographs or a camera path"),
        Binding("save", ("CTRL+S",), "save the model"),
        Binding("panel", ("TAB",), "show or hide the panel"),
        Binding("help", ("H", "F1"), "show or hide this help", 2),
        Binding("full_screen", ("F11",), "full screen"),
        Binding("escape", ("ESCAPE",), "close what lies on top: help, typing, a preview, the film"),
        Binding("quit", ("CTRL+Q",), "save what is being learnt, and quit"),
    ),
}
BINDINGS = tuple(binding for group in GROUPS.values() for binding in group)
MOUSE = (
    ("left drag", "orbit, or look around when flying"),
    ("right drag", "pan; middle or Shift + left too"),
    ("wheel", "nearer, farther"),
    ("Ctrl wheel", "narrower, wider field of view"),
    ("click", "on a camera: look through it"),
    ("drop", "models, photographs, camera paths"),
)
FLYING = (
    ("W A S D", "fly forward, left, back, right (arrows too)"),
    ("Space C", "fly up, down"),
    ("Shift", f"fly {FASTER:g} times faster"),
)
ACTIONS = {combination: binding.action for binding in BINDINGS for combination in binding.combinations}


def find_action(key: str, modifiers: Collection[str] = ()) -> str | None:
    """The action of a pressed key, None where it has none. Modifiers as pyglet names them, with or without MOD_.

    Command counts as Ctrl; locks count as nothing.
    """
    return ACTIONS.get("+".join((*sorted(_plain(modifiers)), key)))


def find_direction(held: Collection[str], modifiers: Collection[str] = ()) -> tuple[float, float, float]:
    """Where the held keys fly: (right, up, back), each -1 to 1, or `FASTER` times that with Shift.

    Keys held together with Ctrl or Alt do not fly: Ctrl+S is not backwards.
    """
    pressed = _plain(modifiers)
    if pressed & {"CTRL", "ALT"}:
        return 0.0, 0.0, 0.0
    factor = FASTER if "SHIFT" in pressed else 1.0
    ways = [HELD[key] for key in held if key in HELD]
    right, up, back = (factor * min(max(sum(way[axis] for way in ways), -1.0), 1.0) for axis in range(3))
    return right, up, back


def list_help() -> dict[str, list[tuple[str, str]]]:
    """What to press and what it does, for a person, by group; the mouse first."""
    result = {"Mouse": [*MOUSE]}
    for name, group in GROUPS.items():
        lines = [(" ".join(map(format_keys, b.combinations[: b.shown])), b.help) for b in group]
        result[name] = [*FLYING, *lines] if name == "Move" else lines
    return result


def spread_groups(
    groups: dict[str, list[tuple[str, str]]], count: int
) -> list[list[tuple[str, list[tuple[str, str]]]]]:
    """Groups in their order over `count` columns that are about equally long."""
    columns, whole, used = [[] for _ in range(count)], sum(len(lines) + 2 for lines in groups.values()), 0.0
    for name, lines in groups.items():
        middle = used + (len(lines) + 2) / 2
        columns[min(int(middle * count / whole), count - 1)].append((name, lines))
        used += len(lines) + 2
    return [column for column in columns if column]


def format_keys(combination: str) -> str:
    """A combination as it stands on the keys: "CTRL+PLUS" as "Ctrl++"."""
    *modifiers, key = combination.split("+")
    return "+".join([*(m.capitalize() for m in modifiers), PRINTED.get(key, key.removeprefix("_"))])


def _plain(modifiers: Collection[str]) -> set[str]:
    """Those that count, in our names."""
    names = {name.removeprefix("MOD_") for name in modifiers}
    return {"CTRL" if name == "COMMAND" else name for name in names} & {"ALT", "CTRL", "SHIFT"}
