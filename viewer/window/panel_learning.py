"""The panel's learning: how a run goes, its curves, its steering; and conversions into other architectures."""

import math
from dataclasses import replace

import numpy as np
from imgui_bundle import imgui, implot

import fields
from distill.photographs.settings import Settings
from viewer.front.session import Curve, Pane
from viewer.front.updates import NewField, Update, name_field
from viewer.messages import ControlRun, Convert, RunProgress
from viewer.window import panel_fields, widgets
from viewer.window.gui import to_rgba
from viewer.window.widgets import AMBER, GREEN, RED, scale

LIVES = {"running": GREEN, "paused": AMBER, "scoring": AMBER, "done": None, "failed": RED}
HEIGHT = 110.0  # of a plot, pixels at scale 1


def draw(update: Update) -> Update:
    """The section: every run, one below the other."""
    panes = [pane for pane in update.state.panes if pane.progress]
    if not panes or not widgets.section("Learning"):
        return update
    for pane in panes:
        imgui.push_id(f"learning {pane.opened.pane}")
        update = draw_run(update, pane)
        imgui.pop_id()
    draw_plots(panes)
    return update


def draw_run(update: Update, pane: Pane) -> Update:
    """One run: where it stands, and its steering."""
    progress, number = pane.progress, pane.opened.pane
    assert progress is not None
    widgets.note(name_field(pane, update.state), panel_fields.pick_color(number))
    imgui.same_line()
    widgets.note(f"{progress.life}  {progress.phase}", LIVES[progress.life])
    imgui.progress_bar(min(max(progress.share, 0.0), 1.0), imgui.ImVec2(-1, scale(16)), format_steps(progress))
    widgets.note(format_figures(progress))
    running, alive = progress.life == "running", progress.life in ("running", "paused")
    labels = "pause" if running else "resume", "step", "reset"
    pressed = widgets.row(*labels, enabled=[alive, alive and not running, progress.life != "scoring"])
    if pressed == 0:
        return update.send(ControlRun(number, "pause" if running else "resume"))
    if pressed is not None:
        return update.send(ControlRun(number, "step" if pressed == 1 else "reset"))
    return update


def format_steps(progress: RunProgress) -> str:
    """How far it is, for a person."""
    return f"{progress.step} of {progress.steps}" if progress.steps else f"step {progress.step}"


def format_figures(progress: RunProgress) -> str:
    """Loss, dB, rate and what is left."""
    psnr = f"{progress.psnr:.2f} dB in training" if math.isfinite(progress.psnr) else "- dB"
    parts = [f"loss {progress.loss:.5f}", psnr]
    if progress.life == "running":
        parts.append(f"{progress.samples_per_second / 1e6:.2f} M samples/s")
    if 0.005 < progress.share < 1 and progress.life == "running":
        parts.append(f"{format_clock(progress.seconds * (1 / progress.share - 1))} left")
    else:
        parts.append(format_clock(progress.seconds))
    return "  ".join(parts)


def format_clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d} h"


def draw_plots(panes: list[Pane]) -> None:
    """dB and loss against seconds, of all runs."""
    implot.push_style_var(implot.StyleVar_.plot_padding, imgui.ImVec2(4, 6))
    implot.push_style_color(implot.Col_.frame_bg, to_rgba(0, 0.0))
    for title, log in (("dB", False), ("loss", True)):
        draw_plot(title, log, panes)
    implot.pop_style_color()
    implot.pop_style_var()


def draw_plot(title: str, log: bool, panes: list[Pane]) -> None:
    """One diagram with a curve for each run."""
    flags = implot.Flags_.no_legend | implot.Flags_.no_menus | implot.Flags_.no_mouse_text
    if not implot.begin_plot(f"##{title}", imgui.ImVec2(-1, scale(HEIGHT)), flags):
        return
    axis = implot.AxisFlags_
    implot.setup_axes("", title, axis.auto_fit | axis.no_highlight, axis.auto_fit | axis.no_highlight)
    if log:
        implot.setup_axis_scale(implot.ImAxis_.y1, implot.Scale_.log10)
    for pane in panes:
        x, y = select_points(pane.curve, title)
        if len(x):
            spec = implot.Spec()
            spec.line_color = to_rgba(panel_fields.pick_color(pane.opened.pane))
            spec.line_weight = 1.5
            implot.plot_line(f"{pane.opened.name}##{pane.opened.pane}", x, y, spec)
    implot.end_plot()


def select_points(curve: Curve, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of a curve; only what can be drawn."""
    x, y = np.array(curve.seconds), np.array(curve.psnr if title == "dB" else curve.loss)
    drawn = np.isfinite(y) & (y > 0)
    return np.ascontiguousarray(x[drawn]), np.ascontiguousarray(y[drawn])


def draw_new_field(wanted: NewField, name: str) -> NewField:
    """Architecture, size and steps of a field to be made."""
    imgui.push_id(name)
    architecture = widgets.choice("architecture", wanted.architecture, fields.NAMES)
    presets = ("auto", *fields.module(architecture).PRESETS)
    preset = widgets.choice("preset", wanted.preset if wanted.preset in presets else "auto", presets)
    widgets.label("steps")
    form = "%d" if wanted.steps else "as by default"
    steps = imgui.drag_int("##steps", wanted.steps, 10.0, 0, 1_000_000, form)[1]
    imgui.pop_id()
    return replace(wanted, architecture=architecture, preset=preset, steps=max(0, steps))


def to_settings(wanted: NewField) -> Settings:
    """The same as `train-scene` takes it."""
    return Settings(arch=wanted.architecture, preset=wanted.preset, steps=wanted.steps, downscale=wanted.downscale)


def draw_conversion(update: Update) -> Update:
    """The section that makes another architecture of a field, live beside it."""
    pane = update.chosen
    if pane is None or not widgets.section("Convert to", opened=False):
        return update
    wanted = draw_new_field(update.panel.convert, "convert")
    crop = update.state.display.crop
    cropped = widgets.toggle("only what the crop box keeps", wanted.cropped, enabled=crop is not None)
    update = update.put(convert=replace(wanted, cropped=cropped))
    if widgets.button(f"convert {name_field(pane, update.state)}", enabled=update.state.worker == "ready", share=1):
        box, turn = (crop, update.state.display.crop_turn) if wanted.cropped else (None, 0.0)
        command = Convert(pane.opened.pane, wanted.architecture, wanted.preset, wanted.steps, box, crop_turn=turn)
        update = update.send(command)
    return update
