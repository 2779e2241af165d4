"""The house's own rules: import order, no re-exports, one owner for a noun, every op with its kernels and tests."""

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["fields", "render", "scenes", "distill", "viewer"]
FILES = sorted(p for folder in ORDER for p in (ROOT / folder).rglob("*.py"))
OPS = sorted(
    p for p in FILES if p.parent.name == "kernels" and not p.stem.endswith(("_cpu", "_cuda")) and p.stem != "__init__"
)
TOP = {
    "polyfield.py",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "docs",
    "tests",
    *ORDER,
}


CONTRACTS = {"Arrays", "Config", "Network", "Readout", "Flags"}  # of an architecture's files, a head's, a command's


def named(path: Path) -> set[tuple[str, str]]:
    """(module, name) of every `from module import name`."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
    return {(n.module or "", alias.name) for n in nodes for alias in n.names}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downhill(path):
    here = ORDER.index(path.relative_to(ROOT).parts[0])
    above = {name for name in imported(path) if name.split(".")[0] in ORDER[here + 1 :]}
    assert not above


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_first_line_says_what_the_file_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_init_files_re_export_nothing(path):
    assert not {name for name in imported(path) if name.split(".")[0] in ORDER} - {"fields"}


@pytest.mark.parametrize("path", OPS, ids=lambda p: p.stem)
def test_every_op_has_its_cpu_kernel_and_its_test(path):
    assert path.with_name(f"{path.stem}_cpu.py").is_file()
    assert (ROOT / "tests" / path.parent.relative_to(ROOT) / f"test_{path.stem}.py").is_file()


@pytest.mark.parametrize("path", OPS, ids=lambda p: p.stem)
def test_importing_an_op_registers_its_cpu_kernel(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    code = f"import sys, {module}; sys.exit('{module}_cpu' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", OPS, ids=lambda p: p.stem)
def test_every_op_has_its_cuda_kernel_and_its_test(path):
    assert path.with_name(f"{path.stem}_cuda.py").is_file()
    assert (ROOT / "tests" / path.parent.relative_to(ROOT) / f"test_{path.stem}_cuda.py").is_file()


def test_what_is_registered_for_the_cpu_is_registered_for_cuda():
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in OPS]
    code = f"""
import importlib, torch
for name in {modules!r}:
    importlib.import_module(name)
    importlib.import_module(name + "_cuda")
named = {{
    key: {{n for n in torch._C._dispatch_get_registrations_for_dispatch_key(key) if n.startswith("nf::")}}
    for key in ("CPU", "CUDA")
}}
assert len(named["CPU"]) > 15, named
assert not named["CPU"] - named["CUDA"], named["CPU"] - named["CUDA"]
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TRITON_INTERPRET": "1"}, check=True)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_imports_a_command_or_the_public_surface(path):
    """A command holds flags, messages and one call; what others want of it stands in a module of its own."""
    taken = imported(path) | {f"{base}.{name}" for base, name in named(path)}
    assert not {name for name in taken if name.split(".")[0] in ORDER and name.endswith("_scene")}
    assert "polyfield" not in taken


def test_a_class_has_one_owner():
    """A public noun means one thing in the whole house. What a folder's contract names in each of its files is free."""
    owners = defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].add(str(path.relative_to(ROOT)))
    assert not {name: sorted(found) for name, found in owners.items() if len(found) > 1 and name not in CONTRACTS}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_seams_are_not_reached_around(path):
    """What a column of features means is known in fields/heads and fields/arch alone; where the unit box lies, and how
    many coordinates there are, in fields/space.py and its device twin."""
    text, where = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
    peer = where == Path("fields/nvidia.py")  # an architecture and a head of its own
    if where.parts[:2] not in (("fields", "heads"), ("fields", "arch")) and not peer:
        assert not re.search(r"features\[(\.\.\.|:), *(0|:\d|\d:)", text)
        assert not re.search(r"tl\.exp\(column\(", text)
    if where.name not in ("space.py", "space_cuda.py") and not peer:
        assert not re.search(r"center\w*\)* */ *(\w+\.)?side", text)
        assert not re.search(r"Network\([^()]*, 3, ", text) or where.parts[1] == "arch"


def test_tests_mirror_the_tree():
    folders = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py")}
    assert not {str(folder) for folder in folders if not (ROOT / folder).is_dir()} - {"examples"}


def test_there_are_ops():
    assert {p.stem for p in OPS} >= {"grid", "march", "composite"}


def importers(*toolkits: str) -> set[str]:
    return {str(p.relative_to(ROOT)) for p in FILES if any(n.split(".")[0] in toolkits for n in imported(p))}


def test_one_file_imports_the_window_toolkit_and_one_the_browser_s():
    assert importers("pyglet") == {"viewer/window/app.py"}
    assert importers("viser") == {"viewer/browser/server.py"}
    assert all(name.startswith("viewer/") for name in importers("imgui_bundle", "OpenGL"))


def test_the_top_level_is_fixed():
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert found >= {*TOP, *ORDER}
    tracked_extra = {n for n in found - TOP - {*ORDER} if (ROOT / n).is_dir() and any((ROOT / n).glob("*.py"))}
    assert not tracked_extra


def imports() -> dict[str, set[str]]:
    """Which of the house's modules each of them imports, anywhere in its file."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in FILES}
    found = {}
    for name, path in names.items():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        members = {f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names}
        found[name] = ((imported(path) | members) & names.keys()) - {name}
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Modules that import each other, directly or through others."""
    reached = {}
    for name in graph:
        seen, ahead = set(), [*graph[name]]
        while ahead:
            if (one := ahead.pop()) not in seen:
                seen.add(one)
                ahead += graph[one]
        reached[name] = seen
    return {frozenset(o for o in reached[n] if n in reached[o]) for n in graph if n in reached[n]}


def test_only_an_op_and_its_kernels_import_each_other():
    found = circles(imports())
    assert all(all(name.split(".")[-2] == "kernels" for name in circle) for circle in found), found
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == {frozenset("abc")}


@pytest.mark.parametrize("name", ["polyfield", *ORDER, "viewer.worker.worker", "distill.bench_scene"])
def test_threads_are_told_how_to_wait_before_pytorch_comes(name):
    program = f"""
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numba") and not (os.environ.get("OMP_WAIT_POLICY") and os.environ.get("NUMBA_CACHE_DIR")):
            print(name, "came first")

sys.meta_path.insert(0, Watch())
import {name}
"""
    hidden = {"OMP_WAIT_POLICY", "NUMBA_CACHE_DIR"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
