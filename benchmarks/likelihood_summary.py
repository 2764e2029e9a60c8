"""What the rows of :mod:`benchmarks.likelihood` say together: lines, and pictures."""

import numpy as np

OTHERS = ("PCA", "FactorAnalysis", "GaussianMixture", "KernelDensity")


def by_model(rows, value, case=("name", "components", "seed")):
    """Values of each model, by case."""
    table = {}
    for row in rows:
        key = tuple(row[name] for name in case)
        table.setdefault(row["model"], {})[key] = float(row[value])
    return table


def best_by_model(rows):
    """Nats of each model in each data set, by the best of its sizes."""
    models = dict.fromkeys(row["model"] for row in rows)
    return {
        model: best_of(row for row in rows if row["model"] == model) for model in models
    }


def best_of(rows):
    """Nats of the best of some rows, in each data set."""
    best: dict = {}
    for row in rows:
        case = row["name"], row["seed"]
        best[case] = np.fmax(float(row["nats"]), best.get(case, np.nan))
    return best


def mean_by_model(rows, value):
    """Mean over seeds of the values of each model, by set."""
    table = {}
    for row in rows:
        values = table.setdefault(row["model"], {})
        values.setdefault((row["name"],), []).append(float(row[value]))
    return {
        model: {case: np.mean(found) for case, found in values.items()}
        for model, values in table.items()
    }


def lines_of(table):
    """Give a table as text, a line for each case."""
    cases = sorted({case for values in table.values() for case in values})
    widths = [max(len(model), 7) for model in table]
    names = [" ".join(str(part) for part in case) for case in cases]
    first = max((len(name) for name in names), default=0)
    heads = [model.rjust(width) for model, width in zip(table, widths, strict=True)]
    yield "  ".join([" " * first, *heads])
    for case, name in zip(cases, names, strict=True):
        values = [table[model].get(case, np.nan) for model in table]
        cells = [f"{v:{w}.3f}" for v, w in zip(values, widths, strict=True)]
        yield "  ".join([name.ljust(first), *cells])


def differences(table, model, reference, cases):
    """Of the values of two models, where both have one."""
    ours, theirs = table.get(model, {}), table.get(reference, {})
    both = [case for case in ours if case in theirs and case in cases]
    gain = {case: ours[case] - theirs[case] for case in both}
    return {case: value for case, value in gain.items() if np.isfinite(value)}


def summarise_tables(rows):
    """Nats per column, and how they differ."""
    yield from lines_of(best_by_model(rows))
    yield ""
    table = by_model(rows, "nats")
    cases = {(row["name"], row["components"], row["seed"]) for row in rows}
    # With fewer rows than columns PCA.score is not the likelihood of its solution.
    tall = {
        (row["name"], row["components"], row["seed"])
        for row in rows
        if int(row["rows"]) > int(row["columns"])
    }
    for model, reference, among in (
        ("VAE normal", "PCA", tall),
        ("VAE posterior", "PCA", tall),
        ("VAE posterior", "PCA likeliest", tall),
        ("VAE diag normal", "FactorAnalysis bounded", cases),
        ("VAE diag posterior", "FactorAnalysis bounded", cases),
        ("VAE posterior", "VAE normal", cases),
        ("VAE diag posterior", "VAE diag normal", cases),
    ):
        gain = differences(table, model, reference, among)
        if gain:
            values = np.array(list(gain.values()))
            worst = " ".join(min(gain, key=gain.get))
            yield (
                f"{model} minus {reference}, {len(values)} cases: smallest "
                f"{values.min():+.4f} ({worst}), 5th percentile "
                f"{np.percentile(values, 5):+.4f}, median {np.median(values):+.4f} "
                "nats per column"
            )
    others = [row for row in rows if row["model"] in OTHERS]
    vaes = [row for row in rows if row["model"].startswith("VAE")]
    yield _count_of_wins("the best VAE", vaes, others)
    chosen: dict = {}
    for row in vaes:
        case, judged = (row["name"], row["seed"]), float(row["judged"])
        if judged > chosen.get(case, (-np.inf, None))[0]:
            chosen[case] = judged, row
    by_judges = [row for _, row in chosen.values()]
    yield _count_of_wins("the VAE of the best bound on its judges", by_judges, others)


def _count_of_wins(title, ours, others):
    """In how many sets some models are above each of the others, and above all."""
    own = best_of(ours)
    counts = []
    each = {model: [model] for model in OTHERS}
    for name, theirs in (each | {"the best of these": OTHERS}).items():
        best = best_of(row for row in others if row["model"] in theirs)
        gain = differences({"own": own, "best": best}, "own", "best", own)
        n_wins = sum(value > 0 for value in gain.values())
        counts.append(f"{name} in {n_wins} of {len(gain)} sets")
    return f"{title} is above {', '.join(counts)}"


def summarise_counts(rows):
    """Nats per column by likelihood."""
    yield from lines_of(by_model(rows, "nats"))


def summarise_samples(rows):
    """Accuracy, or R2, on real rows: of each set, over seeds, and their mean."""
    seeds = sorted({int(row["seed"]) for row in rows})
    yield f"mean over seeds {' '.join(map(str, seeds))}"
    for judge in ("forest", "linear"):
        table = mean_by_model(rows, judge)
        shared = set.intersection(*(set(values) for values in table.values()))
        means = {
            model: np.mean([values[case] for case in shared])
            for model, values in table.items()
        }
        yield judge
        yield from lines_of(table)
        shown = ", ".join(f"{model} {mean:.3f}" for model, mean in means.items())
        yield f"mean over {len(shared)} sets: {shown}"


def summarise_mnist(rows):
    """Each run, what it gave by what it was."""
    for row in rows:
        yield "  ".join(f"{name} {value}" for name, value in row.items())


SUMMARIES = {
    "mnist": summarise_mnist,
    "tables": summarise_tables,
    "counts": summarise_counts,
    "samples": summarise_samples,
}


# ---------------------------------------------------------------------- pictures


def plot(ledger, value, path):
    """Draw a value of each case, a colour per model."""
    import matplotlib.pyplot as plt

    rows = ledger.rows
    case = ("name", "components") if "components" in ledger.key else ("name",)
    table = by_model(rows, value, case)
    cases = sorted({key for values in table.values() for key in values})
    fig, ax = plt.subplots(figsize=(8, 1.5 + 0.22 * len(cases)), layout="constrained")
    for model, values in table.items():
        places = [cases.index(key) for key in values]
        ax.plot(list(values.values()), places, "o", ms=4, label=model)
    ax.set_yticks(range(len(cases)), [" ".join(key) for key in cases], fontsize=7)
    ax.set_xlabel(value)
    ax.legend(fontsize=7)
    fig.savefig(path)
    plt.close(fig)
    print(f"drawn: {path}")
