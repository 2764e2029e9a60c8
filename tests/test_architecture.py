"""The directions in which the rooms may look; docs/architecture.md says why."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import skae

HOME = Path(skae.__file__).parent

NOTHING = set()
LIKELIHOODS = {"categorical", "columns", "counts", "gaussian", "interval"}
PARTS = {
    "densities",
    "likelihoods.__init__",
    "conditional",
    "derivatives",
    "expectation",
    "kernels",
    "mixtures",
    "models",
    "flows",
    "networks",
    "objectives",
    "paths",
    "penalties",
    "posteriors",
    "priors",
    "refinement",
    "variational",
}
GROUND = {"axes", "device", "evidence", "factors", "rows", "span", "start"}
GROUND |= {"inference", "storage"}
TRAINING = {"auto", "blueprint", "engine", "learning", "pace", "planning"}
TRAINING |= {
    "readout",
    "recording",
    "solvers",
    "specs",
    "steps",
    "task",
    "weights",
    "wide",
}
TRAINING |= {"width"}
CORE = PARTS | GROUND | TRAINING
ESTIMATORS = {"autoencoder", "vae"}
DRAWING = {f"plotting.{room}" for room in ("canvas", "display", "transformers")}
DISPLAYS = {
    "codes",
    "comparison",
    "feature_error",
    "loss_curve",
    "reconstruction",
    "samples",
    "traversal",
}

CLI = {
    "kinds": NOTHING,
    "forms": {"saying"},
    "reading": {"saying", "sources", "texts"},
    "recognition": {"kinds"},
    "saying": NOTHING,
    "sources": NOTHING,
    "terminal": {"report"},
    "tables": {"recognition", "saying"},
    "texts": {"forms", "kinds", "saying"},
    "writing": {"saving", "saying"},
    "program": {"arguments", "saying"},
    "__init__": {"program", "saving"},
}


def rooms(package, names):
    """Rooms of a package."""
    return {f"{package}.{name}" for name in names}


# From each room to what it may import. `_sklearn` is open to all.
MAY_IMPORT = {
    "_sklearn": NOTHING,
    "auto": NOTHING,
    "device": NOTHING,
    "naming": NOTHING,
    "labels": NOTHING,
    # parts
    "likelihoods.base": NOTHING,
    **{f"likelihoods.{kind}": {"likelihoods.base"} for kind in LIKELIHOODS},
    "likelihoods.__init__": {f"likelihoods.{kind}" for kind in {"base", *LIKELIHOODS}},
    "paths": {"networks"},
    "models": {"paths"},
    "variational": {"models", "objectives", "paths", "posteriors"},
    "objectives": {"posteriors"},
    "derivatives": NOTHING,
    "networks": {"derivatives"},
    "penalties": {"posteriors"},
    "posteriors": NOTHING,
    "priors": {"densities", "flows", "mixtures", "posteriors"},
    "flows": {"networks"},
    "refinement": {"networks"},
    "densities": {"device", "expectation", "kernels"},
    "expectation": {"kernels"},
    "kernels": NOTHING,
    "mixtures": {"networks"},
    # rows and what is computed from them
    "rows": {"device"},
    "factors": NOTHING,
    "span": {"rows"},
    "axes": {"rows", "span"},
    "start": {"axes", "device", "factors", "rows"},
    "inference": {"device", "rows"},
    "conditional": NOTHING,
    "evidence": NOTHING,
    "storage": {"device"},
    # training
    "solvers": NOTHING,
    "blueprint": PARTS | {"device"},
    "pace": NOTHING,
    "weights": NOTHING,
    "recording": {"device"},
    "steps": {"device", "recording", "solvers", "weights"},
    "engine": {"device", "pace", "steps"},
    "task": {"device", "engine", "rows", "start"},
    "learning": {"device", "engine", "readout", "start"},
    "readout": {"device"},
    "width": {"engine", "readout"},
    "wide": {"axes", "learning", "likelihoods.gaussian", "paths", "rows", "span"}
    | {"start", "task"},
    "specs": PARTS | {"auto", "blueprint", "rows"},
    "planning": CORE - {"learning", "planning"},
    # estimators
    "checking": PARTS | {"planning", "rows", "solvers", "task"},
    "opening": {"blueprint", "start", "storage"} | PARTS,
    "reporting": {"storage"},
    "_fitted": {"checking", "device", "inference", "opening", "rows"},
    "_base": CORE | {"_fitted", "checking", "reporting"},
    "autoencoder": PARTS | GROUND | {"_base", "checking"},
    "_density": PARTS | GROUND | {"_base", "checking", "reporting"},
    "vae": PARTS | {"_density"},
    # comparison; the pictures are drawn from it, and it asks for them by name
    "comparison.result": {"plotting.__init__"},
    "comparison.measuring": {"comparison.result"},
    "comparison.comparing": ESTIMATORS
    | {"comparison.measuring", "comparison.result", "device", "labels", "naming"},
    "comparison.__init__": {
        f"comparison.{room}" for room in ("comparing", "measuring", "result")
    },
    # what is made of estimators
    "oversampling": {"checking", "device", "rows", "vae"},
    "onnx.extra": NOTHING,
    "onnx.graph": {"onnx.extra"},
    "onnx.networks": {"networks", "onnx.graph"},
    "onnx.likelihoods": {
        f"likelihoods.{kind}" for kind in ("__init__", "counts", "interval")
    }
    | rooms("onnx", {"graph", "networks"}),
    "onnx.paths": {"onnx.networks"},
    "onnx.slopes": {"onnx.graph"},
    "onnx.refinement": {"refinement"}
    | rooms("onnx", {"graph", "likelihoods", "paths", "slopes"}),
    "onnx.converters": ESTIMATORS
    | {"posteriors"}
    | rooms("onnx", {"extra", "graph", "likelihoods", "paths", "refinement"}),
    "onnx.__init__": ESTIMATORS
    | rooms("onnx", {"converters", "extra", "graph"})
    | {"conditional"},
    "trust": PARTS | GROUND | ESTIMATORS | {"blueprint", "oversampling"},
    # the command line, from the file to the page
    **{f"cli.{room}": rooms("cli", looks) for room, looks in CLI.items()},
    "cli.pictures": {"cli.report", "plotting.__init__"},
    "cli.report": {"cli.saying", "comparison.result"},
    "cli.saving": ESTIMATORS | {"cli.kinds", "cli.tables", "trust"},
    "cli.preparing": ESTIMATORS
    | rooms("cli", {"reading", "saying", "tables"})
    | {"device"},
    "cli.commands": rooms(
        "cli", {"preparing", "reading", "saving", "saying", "writing"}
    )
    | {"device", "naming"},
    "cli.comparing": rooms("cli", {"pictures", "preparing", "report", "saving"})
    | rooms("cli", {"saying", "terminal", "writing"})
    | {"comparison.__init__", "naming"},
    "cli.arguments": rooms("cli", {"commands", "comparing", "preparing", "saying"})
    | {"__init__"},
    "__main__": {"cli.__init__"},
    "__init__": ESTIMATORS
    | {"comparison.__init__", "networks", "oversampling", "priors", "trust"}
    | {"likelihoods.__init__", "plotting.__init__"},
    # pictures: of any estimator, so they know none
    "plotting.canvas": NOTHING,
    "plotting.columns": NOTHING,
    "plotting.display": {"plotting.canvas", "plotting.columns"},
    "plotting.transformers": {"naming", "plotting.columns"},
    **{f"plotting.{display}": DRAWING for display in DISPLAYS},
    "plotting.codes": DRAWING | {"labels"},
    "plotting.__init__": {f"plotting.{display}" for display in DISPLAYS},
}

# What skae needs at run time; anything else is imported inside the function that
# needs it, or (`onnx`, which does its work on import) in a `try` that names the extra.
DEPENDENCIES = {"numpy", "scipy", "sklearn", "torch"}


def modules():
    return sorted(HOME.rglob("*.py"))


def room_of(path):
    return ".".join(path.relative_to(HOME).with_suffix("").parts)


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def targets(node, package):
    """Dotted names that an import statement brings in; those of skae with its name."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    home = package.split(".")[: len(package.split(".")) + 1 - node.level]
    base = ".".join([*home * bool(node.level), *(node.module or "").split(".")])
    base = base.rstrip(".")
    if base == "skae" or (node.level and not node.module):
        return [f"{base}.{alias.name}" for alias in node.names]
    return [base]


def imports(nodes, package="skae"):
    kinds = (ast.Import, ast.ImportFrom)
    return [
        name
        for node in nodes
        if isinstance(node, kinds)
        for name in targets(node, package)
    ]


def rooms_imported(path):
    package = ".".join(("skae", *path.relative_to(HOME).parent.parts))
    names = imports(ast.walk(parse(path)), package)
    rooms = {name.removeprefix("skae.") for name in names if name.startswith("skae.")}
    return {f"{room}.__init__" if (HOME / room).is_dir() else room for room in rooms}


def test_every_room_says_what_it_may_import():
    assert {room_of(path) for path in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_a_room_imports_only_what_it_may(path):
    allowed = MAY_IMPORT[room_of(path)] | {"_sklearn"}
    assert rooms_imported(path) - allowed == NOTHING


def test_the_reader_of_imports_finds_every_way_to_write_one():
    source = """
import os, skae.a
from skae import b
from skae.c import x
from . import d
from .e import x as y
def f():
    from .g.h import z
"""
    found = imports(ast.walk(ast.parse(source)))
    assert {name for name in found if name.startswith("skae")} == {
        "skae.a",
        "skae.b",
        "skae.c",
        "skae.d",
        "skae.e",
        "skae.g.h",
    }


def test_the_reader_of_imports_knows_where_a_package_is():
    source = """
from . import a
from .b import x
from .. import c
from ..d import y
"""
    found = imports(ast.walk(ast.parse(source)), "skae.p")
    assert found == ["skae.p.a", "skae.p.b", "skae.c", "skae.d"]


def test_no_room_imports_itself_in_a_circle():
    graph = {room_of(path): rooms_imported(path) for path in modules()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_outside_skae_only_the_dependencies_are_imported(path):
    packages = {name.split(".")[0] for name in imports(parse(path).body)}
    assert packages - sys.stdlib_module_names - DEPENDENCIES - {"skae"} == NOTHING


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_private_names_of_scikit_learn_are_taken_in_one_room(path):
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("sklearn")
        for alias in node.names
        if any(
            part.startswith("_") for part in f"{node.module}.{alias.name}".split(".")
        )
    ]
    assert bool(private) == (room_of(path) == "_sklearn")


def test_there_is_no_room_for_odds_and_ends():
    names = {part for path in modules() for part in room_of(path).split(".")}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_a_module_has_at_most_500_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.fixture(scope="module")
def fit_without_extras():
    """A process that fits, where no optional package is: its lines, and its errors."""
    code = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        absent = {"matplotlib", "onnx", "pandas", "polars", "rich", "skl2onnx", "skops"}
        if name in absent:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
import numpy as np
from skae import AutoencoderTransformer

X = np.random.default_rng(0).normal(size=(20, 3))
model = AutoencoderTransformer(1, max_iter=1, hidden_layer_sizes=(2,)).fit(X)
print(model.transform(model.sample(20)).shape)
print("torch._dynamo" in sys.modules)
try:
    import skae.onnx
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.splitlines(), done.stderr


def test_skae_works_without_any_optional_package(fit_without_extras):
    lines, errors = fit_without_extras
    assert lines[0] == "(20, 1)", errors
    assert lines[-1] == 'skae.onnx needs skl2onnx: pip install "skae[onnx]".'
    assert not errors


def test_importing_and_fitting_loads_no_compiler(fit_without_extras):
    assert fit_without_extras[0][1] == "False"


def test_what_is_public_comes_when_it_is_asked_for_and_torch_no_sooner():
    code = """
import sys
import skae

print("torch" in sys.modules, set(skae.__all__) <= set(dir(skae)))
for room in ("likelihoods", "networks", "plotting", "priors"):
    print(getattr(skae, room).__name__)
print(all(hasattr(skae, name) for name in skae.__all__), hasattr(skae, "missing"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "False True",
            "skae.likelihoods",
            "skae.networks",
            "skae.plotting",
            "skae.priors",
            "True False",
        ],
    ), done.stderr


def test_importing_skae_loads_no_plotting_and_no_data_frames_of_its_own():
    # scikit-learn loads pandas and rich itself where it finds them.
    code = """
import sys, sklearn.callback, torch, scipy
before = set(sys.modules)
import skae.plotting
added = {name.split(".")[0] for name in set(sys.modules) - before}
optional = {"matplotlib", "onnx", "pandas", "polars", "rich", "skl2onnx", "skops"}
print(sorted(added & optional))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
