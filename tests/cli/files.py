"""Tables as people have them, in files."""

import numpy as np
import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("rich")
sio = pytest.importorskip("skops.io")


QUICK = ["--max-iter", "2"]


def customers(n_rows=80):
    """Strings, dates, missing values, a constant column: a table as people have it."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, n_rows).astype(float)
    table = pd.DataFrame(
        {
            "customer_id": np.arange(n_rows) * 7 + 1000,
            "email": [f"user{i}@example.org" for i in range(n_rows)],
            "age": age,
            "income": (800 + 30 * age + rng.normal(0, 100, n_rows)).round(2),
            "city": rng.choice(["Lima", "Oslo", "Rome"], n_rows),
            "joined": pd.date_range("2021-03-01", periods=n_rows)
            .strftime("%d/%m/%Y")
            .to_numpy(),
            "active": rng.choice([True, False], n_rows),
            "country": "Utopia",
            "churned": np.where(age + rng.normal(0, 5, n_rows) > 50, "yes", "no"),
        }
    )
    table.loc[3, "age"] = np.nan
    table.loc[[4, 9], "city"] = None
    table.loc[7, "joined"] = None
    return table


def written(folder, name, content):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)
    return path
