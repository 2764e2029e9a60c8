"""The directions in which the rooms look are those of docs/architecture.md."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.base
import sklearn.callback
from sklearn.metrics import make_scorer
from sklearn.mixture import GaussianMixture

import skae

HOME = Path(skae.__file__).parent

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

NOTHING: set[str] = set()


def table(heading):
    """First and last cells of the table under a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line[:3] == "| `"]
    return [(cells[1], cells[-2]) for cells in rows]


def names(cell):
    """Packages or rooms that a cell names: `rows.py`, `priors/`, or in plain words."""
    return re.findall(r"\w+", cell.replace(".py", ""))


def packages_of_the_page():
    """From each package, or room beside them, to those that it looks into."""
    found = {}
    for first, last in table("The packages"):
        (package,) = names(first)
        assert package not in found, package
        found[package] = set(names(last)) - {"nothing"}
    return found


def rooms_of_the_page():
    """Within a package, from each room to its neighbours; rows may have a room more."""
    found = {}
    for first, last in table("The rooms"):
        package, *rooms = names(first)
        for room in rooms:
            neighbours = found.setdefault(package, {})
            assert room not in neighbours, f"{package}/{room}"
            neighbours[room] = set(names(last))
    return found


# `_sklearn` is open to all. What the `__init__` of a package is made of is the
# package's own affair.
MAY_LOOK_INTO = packages_of_the_page()
NEIGHBOURS = rooms_of_the_page()

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
    rooms = {
        name.removeprefix("skae").removeprefix(".") or "__init__"
        for name in names
        if name.split(".")[0] == "skae"
    }
    return {f"{room}.__init__" if (HOME / room).is_dir() else room for room in rooms}


def package_of(room):
    """Say which package a room is in; one beside them stands for itself."""
    return room.split(".")[0]


def test_the_page_lists_every_room():
    found = {room_of(path) for path in modules()}
    inner = {
        f"{package}.{room}" for package in NEIGHBOURS for room in NEIGHBOURS[package]
    }
    faces = {f"{package}.__init__" for package in NEIGHBOURS}
    assert found == inner | faces | (set(MAY_LOOK_INTO) - set(NEIGHBOURS))


def arrows(path):
    """Packages that a room looks into, and neighbours."""
    package = package_of(room_of(path))
    seen = rooms_imported(path) - {"_sklearn"}
    neighbours = {room for room in seen if package_of(room) == package}
    return {package_of(room) for room in seen - neighbours}, neighbours


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_a_room_imports_what_the_page_says(path):
    package, _, own = room_of(path).partition(".")
    others, neighbours = arrows(path)
    assert others - MAY_LOOK_INTO[package] == NOTHING
    if own not in ("", "__init__"):
        named = {f"{package}.{room}" for room in NEIGHBOURS[package][own]}
        assert neighbours == named


@pytest.mark.parametrize("package", MAY_LOOK_INTO)
def test_a_package_uses_every_arrow_of_the_page(package):
    rooms = [path for path in modules() if package_of(room_of(path)) == package]
    assert set().union(*(arrows(path)[0] for path in rooms)) == MAY_LOOK_INTO[package]


def offered(home):
    """Names that a room, or the face of a package, says that it offers."""
    place = HOME.parent.joinpath(*home.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    for node in parse(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def taken(path):
    """Names that a room takes of others, each with the room that it is taken of."""
    package = ".".join(("skae", *path.relative_to(HOME).parent.parts))
    return {
        (home, alias.name)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.module not in (None, "skae")
        for home in targets(node, package)
        if home.startswith("skae.")
        for alias in node.names
    }


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_a_room_takes_of_others_what_they_offer(path):
    assert {pair for pair in taken(path) if pair[1] not in offered(pair[0])} == set()


@functools.cache
def taken_anywhere():
    """Names that skae takes, and those of its tests and pages."""
    pairs = set().union(*map(taken, modules()))
    files = [*modules(), *(ROOT / "tests").rglob("*.py"), *ROOT.glob("docs/*.rst")]
    for path in files:
        text = path.read_text(encoding="utf-8")
        for home, brought in re.findall(
            r"^(?:\s*>>>)? *from (skae[.\w]*) import (\w[\w, ]*|\([^)]*\))", text, re.M
        ):
            pairs |= {(home, name) for name in re.findall(r"\w+", brought)}
    return pairs


INNER = [path for path in modules() if path.stem not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", INNER, ids=room_of)
def test_what_a_room_offers_is_taken_somewhere(path):
    home = f"skae.{room_of(path)}"
    assert {n for n in offered(home) if (home, n) not in taken_anywhere()} == set()


def test_packages_look_only_at_those_above_them_on_the_page():
    above: set[str] = set()
    for package, seen in MAY_LOOK_INTO.items():
        assert seen <= above, package
        above.add(package)


def test_the_reader_of_imports_finds_every_way_to_write_one():
    source = """
import os, skae
import skae.a
from skae import b
from skae.c import x
from . import d
from .e import x as y
def f():
    from .g.h import z
"""
    found = imports(ast.walk(ast.parse(source)))
    assert {name for name in found if name.startswith("skae")} == {
        "skae",
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


# Private names of scikit-learn that a class of skae's overrides, or calls on itself.
HOOKS = {
    "comparison.comparing": {"_init_callback_context"},
    "comparison.measuring": {"_accept_sample_weight"},
    "densities.expectation": {"_estimate_log_prob", "_estimate_log_prob_resp"}
    | {"_initialize", "_m_step"},
    "estimators.autoencoder": {"_parameter_constraints"},
    "estimators.base": {"_init_callback_context", "_parameter_constraints"},
    "estimators.fitted": {"_n_features_out"},
    "estimators.oversampling": {"_parameter_constraints"},
    "estimators.state": {"_get_param_names"},
    "estimators.streams": {"_validate_params"},
    "estimators.vae": {"_parameter_constraints"},
}


@functools.cache
def private_names_of_classes():
    """What the classes that skae extends call their own; IPython's is nobody's."""
    classes = [*vars(sklearn.base).values(), *vars(sklearn.callback).values()]
    classes += [GaussianMixture, type(make_scorer(len))]
    names = {name for kind in classes if isinstance(kind, type) for name in dir(kind)}
    # What ClassNamePrefixFeaturesOutMixin asks for, and has not.
    names |= {"_n_features_out"}
    return {name for name in names if name[0] == "_" != name[1]} - {"_repr_html_"}


@pytest.mark.parametrize("path", modules(), ids=room_of)
def test_hooks_of_scikit_learn_stand_in_few_rooms(path):
    used = {
        getattr(node, field)
        for node in ast.walk(parse(path))
        for kind, field in (
            (ast.FunctionDef, "name"),
            (ast.Attribute, "attr"),
            (ast.Name, "id"),
        )
        if isinstance(node, kind)
    }
    hooks = HOOKS.get(room_of(path), set())
    assert used & private_names_of_classes() == hooks


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


def test_a_comparison_loads_what_draws_it_when_it_is_drawn():
    code = """
import sys
from skae import compare
print("skae.plotting" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
