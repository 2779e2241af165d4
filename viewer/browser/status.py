"""What the browser's panel says: names of fields, how pictures, runs and the worker are doing, curves."""

import math
from collections.abc import Sequence

import numpy as np

from viewer.front.remarks import describe_wait
from viewer.front.session import Curve, Pane, State
from viewer.messages import Command, Notice, RunProgress, ViewCamera

FREE = "free"  # the entry of the views' list that is none of them
POINTS = 300  # of a plotted curve
NOTICES = 3  # lines that stay in sight
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


def format_status(state: State, openings: Sequence[Command] = ()) -> str:
    """How it goes, as Markdown: the worker, each shown field's picture, runs, and the last notices."""
    lines = [format_worker(state, openings), *(format_frame(pane, name_field(pane, state)) for pane in state.shown)]
    lines += [format_progress(pane.progress, name_field(pane, state)) for pane in state.panes if pane.progress]
    lines += [f"{'**!** ' if told.trouble else ''}{escape(told.text)}" for told in state.notices[-NOTICES:]]
    return "\n\n".join(lines)


def name_field(pane: Pane, state: State) -> str:
    """A field's name, with its number where there are several."""
    return f"{pane.opened.pane}: {pane.opened.name}" if len(state.panes) > 1 else pane.opened.name


def format_worker(state: State, openings: Sequence[Command] = ()) -> str:
    """Whether there is still a worker, and what it is busy with while nothing comes of it."""
    if state.worker == "gone":
        return "**The worker has ended.** The last pictures stay."
    return escape(" · ".join(filter(None, (state.device, describe_wait(state, openings)))))


def format_frame(pane: Pane, name: str) -> str:
    """How a field's last picture was drawn, and how good the field is."""
    frame, parts = pane.frame, [f"**{escape(name)}** {escape(pane.opened.architecture)}"]
    if frame is None:
        parts.append("being drawn")
    else:
        samples = "1 sample" if frame.passes == 1 else f"{frame.passes} samples"
        parts += [f"{frame.image.shape[1]} x {frame.image.shape[0]}", samples, f"{frame.milliseconds:.0f} ms"]
    parts += format_quality(pane)[:1]
    if pane.opened.scored is not None:
        parts.append(f"{pane.opened.scored:.2f} dB in the file")
    return " · ".join(parts)


def format_quality(pane: Pane) -> tuple[str, ...]:
    """How near a field comes to the photograph that is looked at: in full, and shorter; nothing where none is."""
    if pane.psnr is None or not math.isfinite(pane.psnr):
        return ()
    return f"{pane.psnr:.2f} dB in this view", f"{pane.psnr:.2f} dB"


def list_new(notices: Sequence[Notice], told: Notice | None) -> tuple[Notice, ...]:
    """The notices that came after one; all where it is not among them."""
    places = [i for i, notice in enumerate(notices) if notice is told]
    return tuple(notices[places[-1] + 1 :] if places else notices)


def format_progress(progress: RunProgress, name: str) -> str:
    """How a field's learning goes."""
    of = f" of {progress.steps}" if progress.steps else f" · {progress.share:.0%}"
    db = f" · {progress.psnr:.2f} dB in training" if math.isfinite(progress.psnr) else ""
    phase = f" ({escape(progress.phase)})" if progress.phase else ""
    loss = f"loss {progress.loss:.5f} · " if math.isfinite(progress.loss) else ""
    return f"{escape(name)}: **{progress.life}**{phase} · step {progress.step}{of}{db} · {loss}{progress.seconds:.0f} s"
