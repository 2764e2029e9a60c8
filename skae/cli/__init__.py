"""The command line: ``skae compare``, ``fit``, ``transform`` and ``sample``."""

from .program import main
from .saving import load_pipeline

__all__ = ["load_pipeline", "main"]
