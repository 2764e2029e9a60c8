"""
A table of numbers, counts and yes or no
========================================

A likelihood per column says what a value can be, and what is drawn keeps to it. The
table is made up here, so that the truth is known: one hidden quantity, the age of a
customer's account, moves all columns.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder

from skae import VAETransformer

rng = np.random.RandomState(0)
age = rng.standard_normal(2000)
table = pd.DataFrame(
    {
        "balance": 1000 * np.exp(0.1 * age) + rng.normal(0, 20, 2000),
        "visits": rng.poisson(np.exp(1 + 0.5 * age)),
        "subscribed": rng.binomial(1, 1 / (1 + np.exp(-2 * age))),
    }
)
table.head()

# %%
# ``likelihood="auto"`` would look at the columns; here it is said.

vae = VAETransformer(
    1,
    likelihood=[
        ("gaussian", ["balance"]),
        ("poisson", ["visits"]),
        ("bernoulli", ["subscribed"]),
    ],
    random_state=0,
).set_output(transform="pandas")
codes = vae.fit_transform(table)
found = abs(np.corrcoef(codes.iloc[:, 0], age)[0, 1])
print(f"correlation of the code with the hidden quantity: {found:.2f}")

# %%
# Invented customers have whole visits, and are subscribed or not.

invented = vae.sample(2000, random_state=0)
invented.head()

# %%
# They go together as the real ones do.

pd.concat({"real": table.corr(), "invented": invented.corr()}, axis=1).round(2)

# %%
# Balance and visits of those who are subscribed and those who are not.

figure, axes = plt.subplots(
    1, 2, figsize=(8, 3.4), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, rows) in zip(
    axes, {"real": table, "invented": invented}.items(), strict=True
):
    for subscribed, some in rows.groupby("subscribed"):
        label = "subscribed" if subscribed else "not subscribed"
        ax.plot(some["balance"], some["visits"], ".", ms=3, alpha=0.4, label=label)
    ax.set(title=name, xlabel="balance", ylabel="visits")
    ax.label_outer()
axes[0].legend(frameon=False, markerscale=3)
plt.show()

# %%
# An encoder makes numbers of a column of text, and text of what is drawn.
# ``likelihood="auto"`` sees that one of its columns is 1 in each row.

plan = pd.DataFrame({"plan": np.select([age < -0.5, age < 0.5], ["S", "M"], "L")})
encoder = OneHotEncoder(sparse_output=False).set_output(transform="pandas")
indicators = encoder.fit_transform(plan)
vae = VAETransformer(1, likelihood="auto", random_state=0)
vae.set_output(transform="pandas").fit(table.join(indicators))
invented = vae.sample(2000, random_state=0)
drawn = invented[table.columns].copy()
drawn["plan"] = encoder.inverse_transform(invented[indicators.columns]).ravel()
drawn.head()

# %%
# Large plans are those of old accounts, as they are in the table.

pd.concat(
    {
        "real": table.groupby(plan["plan"]).mean(),
        "invented": drawn.groupby("plan").mean(),
    },
    axis=1,
).round(2)
