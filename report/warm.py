"""A process that has imported what all notebooks import, and whose forks become their kernels.

Importing TensorFlow takes some 7 s of processor time in every kernel; a fork of a process that did it has it at once.
(Imported, not used: TensorFlow starts its threads with its first operation, and a process with such threads must not
be forked.) Linux only; elsewhere kernels are started as usual.

    Warm(folder)            report's own process: starts `python warm.py serve` and ends it
    python warm.py serve    imports, then forks a kernel for each caller at the socket
    python warm.py kernel   stands in for one kernel where Jupyter wants a process: hands on signals, ends when it ends
"""

import contextlib
import functools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading

IMPORTED = ("ipykernel.kernelapp", "numpy", "pandas", "seaborn", "keras", "tensorflow")


class Warm:
    """The warm process, from the `with` statement's beginning to its end.

    Args:
        socket_name: path of the socket that it listens at.
        environment: dict, as the kernels shall have it.
    """

    def __init__(self, socket_name, environment):
        self.socket_name = socket_name
        inline = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # as a kernel sets it before all imports
        with socket.socket(socket.AF_UNIX) as listener:  # made here: callers may come before the server is ready
            listener.bind(socket_name)
            listener.listen()
            self.server = subprocess.Popen(
                [sys.executable, __file__, "serve", str(listener.fileno())],
                env={**environment, **inline},
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,  # its end tells the server that the report is gone
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the kernels
            )

    def command(self, connection_file):
        """What Jupyter shall start for a kernel."""
        return [sys.executable, "-ISs", __file__, "kernel", self.socket_name, connection_file]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.stdin.close()
        self.server.kill()
        self.server.wait()


# -- the warm process --------------------------------------------------------------------------------------------------


def serve(descriptor):
    """Forks a kernel for each caller at the listening socket, until standard input ends."""
    listener = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: they shall leave no zombies
    for module in IMPORTED:
        with contextlib.suppress(ImportError):  # then the notebook that needs it says so
            __import__(module)
    threading.Thread(target=at_end, args=(0, lambda: os._exit(0)), daemon=True).start()
    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            become_kernel(caller)
        caller.close()


def become_kernel(caller):
    """Turns a fork into the kernel that its caller describes; when the caller ends, it ends with all it started."""
    request, descriptors, _, _ = socket.recv_fds(caller, 1 << 20, 2)
    wanted = json.loads(request)
    os.setsid()
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    for descriptor, standard in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, standard)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    caller.sendall(f"{os.getpid()}\n".encode())
    everything = functools.partial(os.killpg, os.getpid(), signal.SIGKILL)
    threading.Thread(target=at_end, args=(caller.fileno(), everything), daemon=True).start()
    sys.argv = ["ipykernel_launcher", "-f", wanted["connection_file"]]
    try:
        runpy.run_module("ipykernel_launcher", run_name="__main__")
    finally:
        sys.stdout.flush()
        os._exit(0)


def at_end(descriptor, act):
    """Waits until the other end of a pipe or socket is gone, then acts."""
    while os.read(descriptor, 1 << 10):
        pass
    act()


# -- the stand-in for one kernel ---------------------------------------------------------------------------------------


def stand_in(name, connection_file):
    """Asks the warm process for a kernel, hands every signal on to it, and ends when it ends."""
    kernel = socket.socket(socket.AF_UNIX)
    kernel.connect(name)
    wanted = {"connection_file": connection_file, "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(kernel, [json.dumps(wanted).encode()], [1, 2])
    number = int(kernel.makefile().readline())
    for handed_on in (signal.SIGINT, signal.SIGTERM):
        signal.signal(handed_on, lambda received, _: os.killpg(number, received))
    report = os.getppid()
    kernel.settimeout(1)
    while os.getppid() == report:  # a report that was killed cannot end its kernels
        with contextlib.suppress(TimeoutError):
            if not kernel.recv(1):
                return


if __name__ == "__main__":
    {"serve": serve, "kernel": stand_in}[sys.argv[1]](*sys.argv[2:])
