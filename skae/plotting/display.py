"""Displays: what all of them have in common."""

from abc import ABC, abstractmethod

import numpy as np

from .canvas import root_figure
from .columns import Columns

__all__ = ["Display", "RowsDisplay"]


class Display(ABC):
    """A picture of what it holds, in scikit-learn's manner.

    A subclass says what is drawn, on ``ax`` or in a figure of its own, and gives back
    the axes.
    """

    def plot(self, ax=None):
        """Draw what is held.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, divided as needed; by default a new figure.

        Returns
        -------
        display : object
            The Display itself.
        """
        self.axes_ = np.ravel(self._draw(ax))
        self.ax_ = self.axes_[0]
        self.figure_ = root_figure(self.ax_)
        return self

    @abstractmethod
    def _draw(self, ax): ...


class RowsDisplay(Display):
    """A Display that draws rows as images, as profiles or as a table.

    A subclass says how each kind is drawn.
    """

    columns: Columns

    def _draw(self, ax):
        draw = {
            "images": self._draw_images,
            "profiles": self._draw_profiles,
            "table": self._draw_table,
        }[self.columns.kind]
        return draw(ax)

    @abstractmethod
    def _draw_images(self, ax): ...

    @abstractmethod
    def _draw_profiles(self, ax): ...

    @abstractmethod
    def _draw_table(self, ax): ...
