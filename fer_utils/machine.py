"""On what a training runs: the GPUs that TensorFlow has, else the processor."""

import os
import platform
from functools import cache
from pathlib import Path

import tensorflow as tf


@cache
def on_gpu():
    """Return whether TensorFlow computes on a GPU, where the CPU's shortcuts would only cost time."""
    return bool(tf.config.list_physical_devices("GPU"))


def has_bfloat16():
    """Return whether the device that trains multiplies bfloat16 in hardware.

    GPUs do from compute capability 8.0 on, processors with Intel AMX, AVX-512 BF16 or Arm BF16.
    """
    if on_gpu():
        found = [details.get("compute_capability") for details in gpus()]
        return all(capability is not None and capability >= (8, 0) for capability in found)
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux
        return False
    return bool({"amx_bf16", "avx512_bf16", "bf16"} & set(words))


def gpus():
    """Return what TensorFlow knows of each GPU: dicts that may have `device_name` and `compute_capability`."""
    return [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]


def name():
    """Return the name of the GPUs, else that of the processor and how many of its cores this process may use."""
    if on_gpu():
        names = [details.get("device_name", "GPU") for details in gpus()]
        return ", ".join(f"{names.count(one)} × {one}" if names.count(one) > 1 else one for one in dict.fromkeys(names))
    return f"{processor()}, {cores()} cores"


def processor():
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # not Linux, or Arm
        return platform.processor() or platform.machine()


def cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
