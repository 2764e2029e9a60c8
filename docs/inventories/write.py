"""Write the inventories that links to other projects' documentation go by.

Sphinx would fetch each project's whole inventory from its site at every build. Here are
the names that skae's documentation uses, with the pages they are on, so that it builds
without the network. Add a name, run ``python docs/inventories/write.py``, and commit
what it wrote.
"""

import pathlib
import zlib

# For each project: roles, and the names of each, with their page; "$" is the name.
SKLEARN = "modules/generated/$.html#$"
PROJECTS = {
    "python": {
        "py:class": {
            "functools.partial": "library/functools.html#$",
            "pathlib.Path": "library/pathlib.html#$",
        },
        "py:module": {"pickle": "library/pickle.html#module-$"},
    },
    "numpy": {
        "py:class": {
            "numpy.memmap": "reference/generated/$.html#$",
            "numpy.ndarray": "reference/generated/$.html#$",
        },
    },
    "sklearn": {
        "py:class": dict.fromkeys(
            [
                "sklearn.callback.ProgressBar",
                "sklearn.callback.ScoringMonitor",
                "sklearn.compose.ColumnTransformer",
                "sklearn.compose.make_column_selector",
                "sklearn.decomposition.FactorAnalysis",
                "sklearn.decomposition.KernelPCA",
                "sklearn.decomposition.NMF",
                "sklearn.decomposition.PCA",
                "sklearn.exceptions.ConvergenceWarning",
                "sklearn.mixture.GaussianMixture",
                "sklearn.model_selection.GridSearchCV",
                "sklearn.model_selection.GroupKFold",
                "sklearn.neighbors.KernelDensity",
                "sklearn.neural_network.MLPRegressor",
                "sklearn.pipeline.Pipeline",
                "sklearn.preprocessing.OneHotEncoder",
                "sklearn.preprocessing.StandardScaler",
            ],
            SKLEARN,
        ),
        "py:function": dict.fromkeys(
            [
                "sklearn.manifold.trustworthiness",
                "sklearn.metrics.r2_score",
                "sklearn.model_selection.cross_validate",
            ],
            SKLEARN,
        ),
        "py:method": {
            "sklearn.decomposition.PCA.score": (
                "modules/generated/sklearn.decomposition.PCA.html#$"
            ),
        },
        "py:module": {"sklearn.callback": "api/$.html#module-$"},
    },
    "torch": {
        "py:class": {
            "torch.device": "tensor_attributes.html#$",
            "torch.Tensor": "tensors.html#$",
            "torch.nn.Module": "generated/$.html#$",
            "torch.optim.Optimizer": "optim.html#$",
        },
    },
    "matplotlib": {
        "py:class": {"matplotlib.axes.Axes": "api/_as_gen/$.html#$"},
    },
    "skops": {
        "py:function": {
            "skops.io.dump": "modules/classes.html#$",
            "skops.io.load": "modules/classes.html#$",
            "skops.io.get_untrusted_types": "modules/classes.html#$",
        },
    },
}

HEADER = """# Sphinx inventory version 2
# Project: {}
# Version: stable
# The remainder of this file is compressed using zlib.
"""


def inventory(project, roles):
    """Give the bytes of an inventory, as Sphinx reads it."""
    lines = [
        f"{name} {role} 1 {page.replace('$', name)} -\n"
        for role, pages in roles.items()
        for name, page in pages.items()
    ]
    return HEADER.format(project).encode() + zlib.compress("".join(lines).encode(), 9)


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for project, roles in PROJECTS.items():
        (here / f"{project}.inv").write_bytes(inventory(project, roles))
