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
n_components = [2, 4, 8]
methods = {
    "PCA": PCA(),
    "Autoencoder": AutoencoderTransformer(max_iter=15, random_state=0),
}
grid = {"code": list(methods.values()), "code__n_components": n_components}
search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
search.best_params_

# %%
# The accuracy of each candidate, over the number of components.

accuracy = search.cv_results_["mean_test_score"].reshape(len(methods), -1)
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, means, color in zip(methods, accuracy, ["C1", "C0"], strict=True):
    ax.plot(n_components, means, "o-", color=color, label=name)
ax.set_xscale("log", base=2)
ax.set_xticks(n_components, n_components)
ax.set(xlabel="components", ylabel="accuracy, mean of 3 folds", ylim=(None, 1))
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()
