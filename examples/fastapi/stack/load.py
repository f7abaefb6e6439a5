"""One `wrk` run, and what it says."""

import re
import subprocess
from dataclasses import dataclass

CONNECTIONS = 256


@dataclass(frozen=True)
class Load:
    requests_per_s: float
    p99_ms: float


class LoadError(RuntimeError):
    """Answers were errors, or `wrk` did not run."""


def load(url: str, headers: dict[str, str], seconds: int, core: int) -> Load:
    command = ["taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(CONNECTIONS)]
    command += ["--duration", f"{seconds}s", "--latency", "--timeout", "10s"]
    command += [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    done = subprocess.run([*command, url], check=False, capture_output=True, text=True)
    if done.returncode != 0 or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise LoadError(f"{url}:\n{done.stdout}{done.stderr}")
    return Load(float(find(r"Requests/sec:\s+([\d.]+)", done.stdout)), milliseconds(done.stdout))


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise LoadError(f"wrk does not say {pattern}:\n{text}")
    return found[1]


def milliseconds(text: str) -> float:
    found = find(r"99%\s+([\d.]+(?:us|ms|s|m))", text)
    for unit, in_ms in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if found.endswith(unit):
            return float(found.removesuffix(unit)) * in_ms
    raise LoadError(f"wrk says {found}")
