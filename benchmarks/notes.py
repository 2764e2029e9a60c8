"""What a benchmark prints, kept as a text that names the machine."""

import os
import pathlib
import platform

import torch


def machine():
    """Name the processor, its cores, the threads in use and the versions."""
    processor = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        models = [line for line in lines if line.startswith("model name")]
        processor = models[0].split(":")[1].strip() if models else processor
    return (
        f"{processor} ({torch.backends.cpu.get_cpu_capability()}), "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


class Notes:
    """Lines that are printed at once, and written to a file once all are there.

    Parameters
    ----------
    path : pathlib.Path or None
        Where to write them; None prints only.
    """

    def __init__(self, path):
        self.path = path
        self.lines = []

    def __enter__(self):
        self.add(machine())
        return self

    def add(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def __exit__(self, error, *_):
        if error is None and self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("\n".join(self.lines) + "\n")
