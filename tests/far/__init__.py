"""A device that is not the CPU, where there is no GPU.

    python -m pytest -p tests.far tests/test_on_a_device.py

As a plugin it compiles ``device.cpp``, once for each version of torch and of itself,
and adds the device to torch by the name of ``far``. It takes a C++ compiler.
"""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sysconfig
import tempfile
import types

import torch
from torch.utils import cpp_extension

SOURCE = pathlib.Path(__file__).with_name("device.cpp")
BUILT = SOURCE.parents[2] / "build"
COMPILER = (os.environ.get("CXX", "c++"), "-O1", "-fPIC", "-shared", "-std=c++20")


def compiled():
    """Compile the device, unless that has been done; give the library's path."""
    made_of = SOURCE.read_bytes() + torch.__version__.encode()
    name = f"skae-far-{hashlib.sha256(made_of).hexdigest()[:16]}.so"
    library = BUILT / name
    if not library.exists():
        BUILT.mkdir(exist_ok=True)
        found = cpp_extension.library_paths()
        command = [*COMPILER, SOURCE, "-ltorch", "-ltorch_cpu", "-lc10"]
        command += [f"-I{each}" for each in cpp_extension.include_paths()]
        command += [f"-I{sysconfig.get_path('include')}"]
        command += [f"-L{each}" for each in found]
        command += [f"-Wl,-rpath,{each}" for each in found]
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            made = pathlib.Path(folder, name)
            subprocess.run([*map(str, command), "-o", str(made)], check=True)
            made.replace(library)
    return library


def add_to_torch(library):
    """Add the device, and the module that torch asks about it."""
    torch.ops.load_library(library)
    torch.utils.rename_privateuse1_backend("far")
    module = types.ModuleType("torch.far")
    module.is_available = lambda: True
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.device = lambda device: contextlib.nullcontext()
    module.manual_seed_all = lambda seed: None
    module._is_in_bad_fork = lambda: False
    module.get_amp_supported_dtype = lambda: [torch.bfloat16]
    torch._register_device_module("far", module)


def pytest_configure():
    """As a plugin alone: whoever looks for docstring examples imports this, too."""
    add_to_torch(compiled())
