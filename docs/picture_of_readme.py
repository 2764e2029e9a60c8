"""Draw the picture of the README, for light and for dark pages.

    python docs/picture_of_readme.py

It is that of ``examples/plot_digits.py``, on the page's own colour.
"""

import io
import pathlib
import runpy

import matplotlib
from PIL import Image

matplotlib.use("agg")
import matplotlib.pyplot as plt

HERE = pathlib.Path(__file__).parent
PAGES = {"light": ("default", "#ffffff"), "dark": ("dark_background", "#0d1117")}

for page, (style, colour) in PAGES.items():
    with plt.style.context(style):
        runpy.run_path(str(HERE.parent / "examples" / "plot_digits.py"))
        drawn = io.BytesIO()
        plt.gcf().savefig(drawn, dpi=130, facecolor=colour)
    plt.close("all")
    # A hundred colours are a third of the file, and look the same.
    small = Image.open(drawn).convert("RGB").quantize(100)
    small.save(HERE / "_static" / f"digits-{page}.png", optimize=True)
