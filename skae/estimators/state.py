"""State: the attributes that a fit leaves behind, all of them or none."""

from contextlib import contextmanager

from sklearn.base import BaseEstimator

__all__ = ["FittedState"]


class FittedState(BaseEstimator):
    """An estimator whose fitted attributes are those of the last fit that succeeded."""

    # Fitted attributes that are not for the user, whose names end in no underscore. A
    # class that can be stored names them in the order in which they are checked where
    # it is opened.
    _hidden_state: tuple[str, ...] = ()

    def _fitted_names(self):
        given = self._get_param_names()
        return [
            name
            for name in vars(self)
            if (name.endswith("_") or name in self._hidden_state) and name not in given
        ]

    def _forget(self):
        """Be unfitted: what an earlier fit left does not go with rows of another."""
        for name in self._fitted_names():
            del self.__dict__[name]

    @contextmanager
    def _unchanged_on_error(self):
        """Leave the fitted attributes as they were when fitting fails."""
        before = {name: vars(self)[name] for name in self._fitted_names()}
        try:
            yield
        except BaseException:
            self._forget()
            self.__dict__.update(before)
            raise
