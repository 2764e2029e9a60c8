"""A process that has fitted may be forked, and its child fits too."""

import os
import subprocess
import sys

import pytest

IN_A_PROCESS = """
import os
import signal
import threading

import numpy as np
import torch

from skae import AutoencoderTransformer, VAETransformer, device
from skae.densities import codes
from skae.estimators import storage

torch.set_num_threads(2)
X = np.tanh(np.random.RandomState(0).randn(300, 8))
small = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


def use():
    for Estimator in (AutoencoderTransformer, VAETransformer):
        model = Estimator(2, **small).fit(X)
        model.score(X[:5])
        model.sample(2)
    AutoencoderTransformer(2, encoder=torch.nn.Linear, **small).fit(X)


use()
locks = [codes._SEARCH, device.STREAM_LOCK, storage._REBUILD]
held, done = threading.Event(), threading.Event()


def hold():
    for lock in locks:
        lock.acquire()
    held.set()
    done.wait()


# Somebody else holds the locks, and is not there in the child.
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)  # ends what hangs
    use()
    os._exit(0)
_, status = os.waitpid(child, 0)
os._exit(os.waitstatus_to_exitcode(status) != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_process_that_has_fitted_fits():
    free = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", IN_A_PROCESS], check=True, env=free)
