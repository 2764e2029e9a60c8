"""
Rows that are not like the others
=================================

A VAE is a density, so rows of low log-likelihood are outliers (anomaly, novelty
detection). Fitted to 200 benign tumours alone, it is asked about the other benign and
the malignant ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import VAETransformer

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
benign, malignant = X[y == 1], X[y == 0]
known, unseen = benign[:200], benign[200:]

# %%
# Measures of different units ask for a noise per column. Factor analysis has that, too,
# and a VAE with ``"gaussian_diag"`` starts there: it is what sets both apart from PCA,
# and the network adds no more than chance here.

models = {
    "PCA": PCA(4),
    "Factor analysis": make_pipeline(StandardScaler(), FactorAnalysis(4)),
    "VAE": VAETransformer(4, likelihood="gaussian_diag", random_state=0),
}
is_malignant = np.repeat([0, 1], [len(unseen), len(malignant)])
for name, model in models.items():
    model.fit(known)
    scores = [model.score_samples(unseen), model.score_samples(malignant)]
    print(f"{name}: AUC {roc_auc_score(is_malignant, -np.concatenate(scores)):.3f}")

# %%
# The log-likelihood of each row, in nats. The lowest tenth of the malignant reaches far
# down and is drawn at the edge, with whatever else is as low.

vae = models["VAE"]
scores = [vae.score_samples(rows) for rows in (unseen, malignant)]
low, high = np.quantile(scores[1], 0.1), np.concatenate(scores).max()
bins = np.linspace(low, high, 40)
drawn = [np.maximum(each, low) for each in scores]
figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.hist(drawn, bins, label=["benign, unseen", "malignant"])
ax.set(
    title="Tumours, by a VAE of benign ones alone",
    xlabel=f"log-likelihood in nats ({low:.0f}: that or less)",
    ylabel="rows (log scale)",
    yscale="log",
)
ax.legend(frameon=False)
plt.show()
