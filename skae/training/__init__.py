"""The engine, which knows no model: epochs of steps, at a pace, by a solver."""
