"""How the documentation is built: ``make docs``, without the network."""

import pathlib
import re
import sys

import skae

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))  # the extensions mathml.py and command_help.py

project = "skae"
author = "The skae developers"
copyright = "The skae developers"
version = release = skae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "command_help",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]

# Every reference has to lead somewhere.
nitpicky = True
# Fitted attributes that are properties are told of on their class's page, and rooms
# that a docstring points to have none.
nitpick_ignore_regex = [("py:obj", r"[a-z_]+_|best_epoch"), ("py:mod", r"skae\..+")]
suppress_warnings = ["config.cache"]  # sphinx-gallery's settings hold functions

highlight_language = "none"  # formulas; code says what it is

# --------------------------------------------------------------------------- API

toc_object_entries_show_parents = "hide"


def spare_underscores(app, what, name, obj, options, lines):
    """Keep ``(n_features_in_,)`` from being read as a link: a fitted name is a name."""
    lines[:] = [re.sub(r"\((\w+_),", r"(`\1`,", line) for line in lines]


def setup(app):
    """Look at docstrings before numpydoc does."""
    app.connect("autodoc-process-docstring", spare_underscores, priority=400)


autosummary_generate = True
autodoc_default_options = {"members": False}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_validation_checks: set[str] = set()  # tests/test_docstrings.py does it

# -------------------------------------------------------- links to other projects

# Inventories with the names that are used here; CONTRIBUTING.md says how to add one.
intersphinx_mapping = {
    name: (address, str(HERE / "inventories" / f"{name}.inv"))
    for name, address in {
        "python": "https://docs.python.org/3",
        "numpy": "https://numpy.org/doc/stable",
        "sklearn": "https://scikit-learn.org/stable",
        "torch": "https://docs.pytorch.org/docs/stable",
        "matplotlib": "https://matplotlib.org/stable",
        "skops": "https://skops.readthedocs.io/en/stable",
    }.items()
}

# ----------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "reference_url": {"skae": None},
    "doc_module": ("skae",),
    "backreferences_dir": "generated/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "abort_on_example_error": False,
    "matplotlib_animations": False,
}

# -------------------------------------------------------------------------- pages

html_theme = "pydata_sphinx_theme"
html_title = "skae"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["skae.css"]
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {"**": ["sidebar-nav-bs"], "index": [], "changelog": []}
html_theme_options = {
    "logo": {"text": "skae", "alt_text": "skae, first page"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
