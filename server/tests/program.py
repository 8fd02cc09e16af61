"""Runs `sam2 serve` for the tests of clients."""

import contextlib
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@contextlib.contextmanager
def serve(program, *args):
    """The address of a server with the demo model, which ends by a signal, and must end with success."""
    command = [program, "serve", "--model", str(ROOT / "demo"), "--port", "0", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip().rstrip("/")
        finally:
            server.send_signal(signal.SIGTERM)
    if server.returncode != 0:
        raise SystemExit(f"the program ended with {server.returncode}")
