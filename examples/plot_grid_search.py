"""
An autoencoder in a Pipeline, chosen by a grid search
=====================================================

Wherever PCA stands, an autoencoder can stand, and the score of what comes after it
decides. PCA is a candidate among the others.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skae import AutoencoderTransformer

X, y = load_digits(return_X_y=True)
pipeline = Pipeline(
    [
        ("code", PCA()),
        ("scale", StandardScaler()),
        ("predict", LogisticRegression(max_iter=1000)),
    ]
)
widths = [2, 4, 8]
methods = {
    "PCA": PCA(),
    "Autoencoder": AutoencoderTransformer(max_iter=15, random_state=0),
}
grid = {"code": list(methods.values()), "code__n_components": widths}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
search.best_params_

# %%
# The accuracy of each candidate, over the width of the code.

accuracy = search.cv_results_["mean_test_score"].reshape(len(methods), len(widths))
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, means, color in zip(methods, accuracy, ["C1", "C0"], strict=True):
    ax.plot(widths, means, "o-", color=color, label=name)
ax.set_xscale("log", base=2)
ax.set_xticks(widths, widths)
ax.set(xlabel="components", ylabel="accuracy, mean of 3 folds", ylim=(None, 1))
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()
