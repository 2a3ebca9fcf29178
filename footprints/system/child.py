"""A step in a process of its own: PyTorch (detection) and TensorFlow (Keras) crash in one.

The process finds this package wherever it is started from, looks for no modules in the current
folder, and ends when its parent does, however that ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from footprints.system.errors import Stopped, UserError, run
from footprints.system.guard import environment_for_children

_START = (os.path.realpath(__file__),)
_SECONDS_TO_END = 10.0
_STOPPED = (129, 130, 143)  # see footprints.system.errors


def run_step(step: str, flags: Sequence[object]) -> int:
    """Run ``footprints.<step>`` to its end; what it says goes to this process's screen.

    Args:
        step: Name of a module with a ``main``.
        flags: Of its command line.

    Returns:
        Its exit status.

    Raises:
        UserError: If a signal ended it.
        Stopped: If it was asked to end; it has said nothing of that.
    """
    command = [sys.executable, *_START, step, *map(str, flags)]
    sys.stdout.flush()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment_for_children())
    try:
        status = process.wait()
    except BaseException:  # Ctrl-C reaches both; let it put its things in order
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        process.kill()
        raise
    finally:
        process.stdin.close()
    if status < 0:
        raise UserError(
            f"footprints.{step} was ended by signal {-status}, perhaps for want of memory; start "
            "again with the same command to go on"
        )
    if status in _STOPPED:
        raise Stopped(status - 128)
    return status


def main() -> int:
    """Be that process: run the step that the first argument names."""
    step = importlib.import_module(f"footprints.{sys.argv.pop(1)}")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return run(step.main, says_stopped=False)


def _end_with_parent() -> None:
    """Wait until the parent's end of the pipe is closed; then stop as at Ctrl-C."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    if hasattr(signal, "pthread_kill"):  # so that a main thread that waits wakes up
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
    time.sleep(_SECONDS_TO_END)
    os._exit(128 + signal.SIGINT)  # Python drops an exception that comes in a destructor


if __name__ == "__main__":
    sys.exit(main())
