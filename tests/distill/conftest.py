"""Commands that a bench starts as processes, answered in this one: a process imports and warms up for seconds."""

import contextlib
import importlib
import io
import json
import math
import sys

import pytest

from distill.bench import architectures as bench_architectures
from distill.bench import conversions as bench_distill
from distill.bench import cpu_peers
from distill.bench.results import Failure
from distill.learning.files import Records
from distill.learning.metrics import Metrics
from distill.photographs.settings import Settings


@pytest.fixture
def in_this_process(monkeypatch):
    """Contests and matrices run the same commands with the same words, but without processes of their own."""

    def run_command(module, words, *_):
        printed, told = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
            patch.setattr(sys, "argv", [module, *words, "--json", "--overwrite"])
            with pytest.raises(SystemExit) as end:
                importlib.import_module(module).main()
        if end.value.code:
            return Failure(told.getvalue().strip().splitlines()[-1])
        return Metrics.from_record(json.loads(printed.getvalue()))

    for module in (bench_architectures, bench_distill, cpu_peers):
        monkeypatch.setattr(module, "run_command", run_command)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No previews and checkpoints by the clock but where a test asks for them: how many there are depends on the
    machine."""
    begin = Records.__init__

    def begun(records, run, files, every):
        begin(records, run, files, math.inf if every == Settings().save_every else every)

    monkeypatch.setattr(Records, "__init__", begun)
    monkeypatch.setattr("distill.learning.files.PREVIEW_EVERY", math.inf)
