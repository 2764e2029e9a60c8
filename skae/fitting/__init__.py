"""From an estimator's parameters to a fitted model: what is learned, and who judges."""
