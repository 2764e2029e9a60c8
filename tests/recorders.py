"""Callbacks that write down how they are called."""

from typing import Any, NamedTuple


def path_of(context):
    """Numbers of a task and of those that it is part of, the outermost first."""
    path = () if context.parent is None else path_of(context.parent)
    return (*path, context.task_id)


class Call(NamedTuple):
    """A hook, with its task's path, its name and what came with it."""

    hook: str
    path: tuple = ()
    task: str = ""
    given: Any = None


class Recorder:
    """Writes down every hook."""

    def __init__(self):
        self.record = []

    def setup(self, estimator, context):
        self.record.append(Call("setup"))

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self._enter("begin", context, (X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None):
        self._enter("end", context, (X, y, metadata))

    def teardown(self, estimator, context):
        self.record.append(Call("teardown"))

    def _enter(self, hook, context, given):
        self.record.append(Call(hook, path_of(context), context.task_name, given))

    @property
    def hooks(self):
        return [(call.hook, call.path) for call in self.record]

    def paths(self, hook):
        return [call.path for call in self.record if call.hook == hook]


class PropagatedRecorder(Recorder):
    """A recorder that meta-estimators hand on to what they hold."""

    max_propagation_depth = None
