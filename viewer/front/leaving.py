"""Leaving: what Esc closes first, what is still under way when a person wants to quit, and what becomes of it. Pure."""

from viewer.front.updates import CloseWindow, Update, name_field
from viewer.messages import StopFilm


def escape(update: Update) -> Update:
    """Close what lies on top: the question whether to quit, help, a question about data, a preview, the film. With
    nothing to close, say how to quit."""
    panel, film = update.panel, update.state.film
    if panel.asking:
        return update.put(asking=False)
    if panel.help:
        return update.put(help=False)
    if panel.found:
        return update.put(found=None)
    if panel.playing is not None:
        return update.put(playing=None)
    if film and not film.final:
        return update.send(StopFilm())
    return update.echo("Ctrl+Q quits")


def leave(update: Update) -> Update:
    """Quit; with work under way ask first, and quit where that was asked already. A second time does not wait."""
    if update.panel.asking or update.panel.quitting or not list_unfinished(update):
        return update.request(CloseWindow())
    return update.put(asking=True, help=False)


def list_unfinished(update: Update) -> list[str]:
    """What is under way, one line each, and what becomes of it."""
    state, panel, lines = update.state, update.panel, list[str]()
    if state.worker == "gone":
        return lines
    for pane in state.panes:
        if pane.progress and pane.progress.life in ("running", "paused"):
            far = f"{name_field(pane, state)} learns, {pane.progress.share:.0%} done"
            lines.append(f"{far}: it is saved, and goes on with --resume")
        elif pane.progress and pane.progress.life == "scoring":
            lines.append(f"{name_field(pane, state)} is being scored: the model is written, its scores are not")
    if state.film and not state.film.final:
        lines.append(f"{state.film.path}, {state.film.done} of {state.film.frames} frames: it is given up")
    if panel.path.keys and panel.path != panel.kept:
        count = len(panel.path.keys)
        lines.append(f"a camera path of {count} keyframe{'s' * (count > 1)}: it is in no file, and is lost")
    return lines
