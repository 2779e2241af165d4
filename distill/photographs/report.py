"""What photographs taught: scored on those that were held out."""

from distill.learning.files import Files, begin_scoring, write_all
from distill.learning.job import Finishing, score
from distill.learning.metrics import Metrics
from distill.learning.run import Run
from scenes.evaluate import median_frame_ms, summarise
from scenes.scene import Scene

VIEWS = 8  # training views that are scored where none are held out


def finish(scene: Scene, run: Run, files: Files | None) -> Finishing:
    """Score held-out views, training views where there are none, and write everything, view by view."""
    begin_scoring(run, files)
    split = "test" if scene.test else "train"
    scores = yield from score(scene.test or scene.train[:VIEWS], scene.background, run.image, "scoring the field")
    drawn, spent = sum(s.frame.samples for s in scores), sum(s.seconds for s in scores)
    quality = summarise(scores, scene.background, split, run.recipe.downscale)
    metrics = Metrics(quality, run.effort(), median_frame_ms(scores), round(drawn / max(spent, 1e-9)))
    return write_all(run, files, metrics, scores)
