"""The viewer's worker on a device that is not the CPU, see tests/remote.py."""

import pytest
from analytic import block_file
from drawn import blender
from post import Post
from remote import chosen

from distill.photographs.settings import Settings
from viewer.messages import Convert, FrameDrawn, FrameRequest, LearnFrom, OpenModel, QuitWorker, Views
from viewer.worker.worker import Worker

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch warns of its own ways with a Python backend


def test_the_viewer_s_worker_opens_draws_learns_and_scores(tmp_path):
    blender(tmp_path / "data", train=4, test=2, size=(24, 24))
    model, post = block_file(tmp_path / "block.safetensors"), Post()
    with chosen():
        worker = Worker("cuda", post)
        asked = Settings(out=tmp_path / "run", preset="tiny", steps=4, batch=1024)
        commands = [
            OpenModel(str(model)),
            LearnFrom(str(tmp_path / "data"), asked),
            Convert(0, "vm", preset="tiny", steps=4),
        ]
        for command in commands:
            worker.guard(lambda command=command: worker.obey(command), "")
        for mode in ("color", "depth", "normal", "cost"):
            request = FrameRequest(1, post.last(Views).views[0].camera.resized(20, 16), (0,), mode=mode)
            worker.guard(lambda request=request: worker.obey(request), "")
            for _ in range(60):
                worker.guard(worker.work, "")
        worker.guard(lambda: worker.obey(QuitWorker()), "")
    assert post.troubles() == []
    assert post.of(FrameDrawn)
