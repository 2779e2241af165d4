"""What the browser says: names of fields, how pictures, runs and the worker are doing, curves."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from viewer.front import compare
from viewer.front.session import Curve, Pane, State
from viewer.messages import RunProgress, ViewCamera

FREE = "free"  # the entry of the views' list that is none of them
POINTS = 300  # of a plotted curve
NOTICES = 3  # lines that stay in sight
LETTERS, MARGIN, INK = 14, 10, (228, 230, 234)  # of captions: height of a line, distance to the edge, colour
PUNCTUATION = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()<>#+-.!|~&$:"})  # what Markdown may take for its own


def format_title(pane: Pane) -> str:
    """What a field is called in lists; no two have the same name."""
    return f"{pane.opened.pane}: {pane.opened.name} ({pane.opened.architecture})"


def format_view(views: Sequence[ViewCamera], view: int | None) -> str:
    """The entry of a view in their list; none: FREE."""
    if view is None or view >= len(views):
        return FREE
    return f"{view}: {views[view].name} ({views[view].split})"


def select_points(curve: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds, log10 of the loss and dB, (n,) each, n <= POINTS; points that are no numbers are left out."""
    table = np.array([curve.seconds, curve.loss, curve.psnr], dtype=np.float64).reshape(3, -1)
    table = table[:, np.isfinite(table).all(0) & (table[1] > 0)]
    table = table[:, :: max(1, math.ceil(table.shape[1] / POINTS))]
    return table[0], np.log10(table[1]), table[2]


def escape(text: str) -> str:
    """Text that Markdown shows as it stands."""
    return " ".join(text.split()).translate(PUNCTUATION)


def format_status(state: State) -> str:
    """How it goes, as Markdown: the worker, each shown field's picture, runs, and the last notices."""
    lines = [format_worker(state), *(format_frame(pane, name_field(pane, state)) for pane in state.shown)]
    lines += [format_progress(pane.progress, name_field(pane, state)) for pane in state.panes if pane.progress]
    lines += [f"{'**!** ' if told.trouble else ''}{escape(told.text)}" for told in state.notices[-NOTICES:]]
    return "\n\n".join(lines)


def name_field(pane: Pane, state: State) -> str:
    """A field's name, with its number where there are several."""
    return f"{pane.opened.pane}: {pane.opened.name}" if len(state.panes) > 1 else pane.opened.name


def format_worker(state: State) -> str:
    """Whether there is still a worker."""
    if state.worker == "gone":
        return "**The worker has ended.** The last pictures stay."
    if state.worker == "starting":
        return "The worker is starting."
    return escape(state.device) if state.panes else f"{escape(state.device)}; nothing is open yet"


def format_frame(pane: Pane, name: str) -> str:
    """How a field's last picture was drawn."""
    frame, name = pane.frame, f"**{escape(name)}** {escape(pane.opened.architecture)}"
    if frame is None:
        return f"{name} · being drawn"
    size = f"{frame.image.shape[1]} x {frame.image.shape[0]}"
    quality = f" · {pane.psnr:.2f} dB" if pane.psnr is not None else ""
    samples = "1 sample" if frame.passes == 1 else f"{frame.passes} samples"
    return f"{name} · {size} · {samples} · {frame.milliseconds:.0f} ms{quality}"


def format_progress(progress: RunProgress, name: str) -> str:
    """How a field's learning goes."""
    of = f" of {progress.steps}" if progress.steps else f" · {progress.share:.0%}"
    db = f" · {progress.psnr:.2f} dB" if math.isfinite(progress.psnr) else ""
    phase = f" ({escape(progress.phase)})" if progress.phase else ""
    loss = f"loss {progress.loss:.5f} · " if math.isfinite(progress.loss) else ""
    return f"{escape(name)}: **{progress.life}**{phase} · step {progress.step}{of}{db} · {loss}{progress.seconds:.0f} s"


def add_captions(image: np.ndarray, state: State) -> np.ndarray:
    """A composed picture (h, w, 3) with each field's name in a corner of its place, where there are several."""
    height, width = image.shape[:2]
    if len(state.shown) < 2:
        return image
    names = [format_caption(pane, state) for pane in state.shown]
    places = compare.place_panes(state.display.layout, len(names), (width, height))
    marks = [(left, top, "la", name) for (left, top, _, _), name in zip(places, names, strict=True)]
    if state.display.layout == "wipe":
        marks = [marks[0], (width, 0, "ra", names[1])]
    elif state.display.layout == "difference":
        marks = [(0, 0, "la", f"{names[0]} against {names[1]}, times {state.display.gain:g}")]
    canvas = Image.fromarray(image)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(LETTERS)
    for x, y, anchor, name in marks:
        corner = (x + MARGIN if anchor == "la" else x - MARGIN, y + MARGIN)
        left, top, right, bottom = pen.textbbox(corner, name, font, anchor)
        pen.rectangle((left - 4, top - 4, right + 4, bottom + 4), compare.EMPTY)
        pen.text(corner, name, INK, font, anchor)
    return np.asarray(canvas)


def format_caption(pane: Pane, state: State) -> str:
    """A field's name, and how near it comes to the photograph that is looked at."""
    name = f"{name_field(pane, state)} ({pane.opened.architecture})"
    return f"{name}  {pane.psnr:.2f} dB" if pane.psnr is not None else name
