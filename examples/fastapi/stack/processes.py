"""Processes that end with us: in order when we stop, and by the kernel's hand when we are killed."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_WITHIN_S = 15.0
POLL_S = 0.05


class StartError(RuntimeError):
    """Something did not start; says what, and the end of what it logged."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """A child in a process group of its own, so that Ctrl-C reaches only us and we can stop in order."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        core: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        # The last change of identity clears the signal for the parent's death, so one program does both.
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if user:
            prefix += ["--reuid", user, "--regid", user, "--init-groups"]
        if core is not None:
            prefix = ["taskset", "--cpu-list", str(core), *prefix]
        self.name = name
        self.log = log
        self.stop_signal = stop_signal
        with log.open("ab") as output:
            self.child = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                process_group=0,
            )

    def wait_until(self, is_ready: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not is_ready():
            if self.child.poll() is not None:
                raise StartError(f"{self.name} ended before it was ready ({self.child.returncode}):\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready within {within_s:.0f} s:\n{self.tail()}")
            time.sleep(POLL_S)

    def tail(self, characters: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def memory_kb(self) -> int:
        """What it holds in memory now."""
        lines = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()
