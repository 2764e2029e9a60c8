"""
PCA, an autoencoder and a VAE on the digits
===========================================

Each makes two numbers of the 64 pixels of an image, and an image of two numbers. What
is shown are images that none of them saw while it was fitted.

Variance is kept in so far as the images rebuilt from their two numbers equal the
images: 100% if they do, 0% if each is rebuilt as the mean. The nearest image is the
training image whose two numbers are nearest. The log-likelihood says how probable these
images are to a model (in nats, per image); an autoencoder gives no probabilities, so it
has none.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import AutoencoderTransformer, VAETransformer, explained_variance_scorer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, test_size=0.3, random_state=0
)
methods = {
    "PCA": PCA(2),
    "Autoencoder": AutoencoderTransformer(2, random_state=0),
    "VAE": VAETransformer(2, random_state=0),
}


def told(model):
    """Say in numbers what a model makes of the images that it did not see."""
    neighbours = KNeighborsClassifier(1).fit(model.transform(X_train), y_train)
    right = neighbours.score(model.transform(X_test), y_test)
    lines = f"{explained_variance_scorer(model, X_test):.0%} of the variance kept"
    lines += f"\n{right:.0%} nearest to the same digit"
    if isinstance(model, AutoencoderTransformer):
        return lines
    return f"{lines}\nlog-likelihood \N{MINUS SIGN}{-model.score(X_test):.0f} nats"


# %%
# Above, a dot for each image, at its two numbers, in the colour of its digit. Below,
# an image of each digit, and what is rebuilt from its two numbers.

figure = plt.figure(figsize=(10.5, 5.9), layout="constrained")
grid = figure.add_gridspec(2, 3, height_ratios=[4.2, 1])
shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
for column, (name, model) in enumerate(methods.items()):
    codes = model.fit(X_train).transform(X_test)
    dots = figure.add_subplot(grid[0, column], facecolor="none")
    dots.scatter(*codes.T, c=y_test, cmap="tab10", s=11, linewidths=0)
    for digit in range(10):
        x, height = np.median(codes[y_test == digit], axis=0)
        box = {"boxstyle": "circle,pad=0.15", "fc": plt.get_cmap("tab10")(digit)}
        box |= {"ec": "white", "lw": 0.8}
        dots.text(x, height, digit, color="black", ha="center", va="center", bbox=box)
    dots.margins(0.03)
    dots.set(xticks=[], yticks=[])
    dots.spines[:].set_visible(False)
    dots.set_title(f"{name}\n", fontsize=16, fontweight="bold", loc="left", pad=36)
    place = {"transform": dots.transAxes, "va": "top", "fontsize": 11}
    dots.text(0, 1.17, told(model), **place).set_in_layout(False)
    images = figure.add_subplot(grid[1, column], facecolor="0.5")
    decoded = model.inverse_transform(codes[shown])
    pairs = np.stack([X_test[shown], decoded]).reshape(2, 10, 8, 8)
    pairs = np.pad(pairs, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=np.nan)
    strip = pairs.transpose(0, 2, 1, 3).reshape(18, 90)
    images.imshow(strip, cmap="gray", vmin=0, vmax=16)
    images.set(xticks=[])
    images.set_yticks([3.5, 12.5], ["unseen", "rebuilt"] if column == 0 else ["", ""])
    images.tick_params(length=0)
    images.spines[:].set_visible(False)
plt.show()
