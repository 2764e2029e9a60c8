"""What Displays of rows have in common: the kind of row chooses the drawing."""

from abc import ABC, abstractmethod

from .canvas import root_figure
from .columns import Columns

__all__ = ["RowsDisplay"]


class RowsDisplay(ABC):
    """A Display that draws rows as images, as profiles or as a table.

    A subclass says how each kind is drawn, on ``ax`` or in a figure of its own, and
    gives back the axes.
    """

    columns: Columns

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
        draw = {
            "images": self._draw_images,
            "profiles": self._draw_profiles,
            "table": self._draw_table,
        }[self.columns.kind]
        self.axes_ = draw(ax).ravel()
        self.figure_ = root_figure(self.axes_[0])
        return self

    @abstractmethod
    def _draw_images(self, ax): ...

    @abstractmethod
    def _draw_profiles(self, ax): ...

    @abstractmethod
    def _draw_table(self, ax): ...
