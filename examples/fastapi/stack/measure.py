"""The backend by itself, under fastapi-cache2 on Redis, and behind the gateway: `examples/fastapi/measure`.

Server on one core; load, PostgreSQL and Redis on the other, which favours those that ask PostgreSQL or Redis. In each
round every contender has its turn; ratios are taken within a round, and the median of the rounds is shown.
"""

import argparse
import os
import platform
import signal
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .backend import Backend
from .gateway import COARSE, PRECISE, Gateway, program
from .journey import USERS, Journey
from .load import CONNECTIONS, Load, LoadError, load
from .processes import Process, StartError, free_port
from .stack import Stack

SERVER_CORE, LOAD_CORE = 0, 1
YARDSTICK = Path(__file__).parent.parent / "yardstick"
PASSWORD = "demo-password"


@dataclass(frozen=True)
class Contender:
    name: str
    url: str
    token: str

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass
class Row:
    """What is asked for, and by whom it is answered; the first contender is what the others are compared with."""

    what: str
    path: str
    contenders: list[Contender]
    revalidate: bool = False
    loads: dict[str, list[Load]] = field(default_factory=dict)

    def measure(self, seconds: int) -> None:
        for contender in self.contenders:
            url, headers = f"{contender.url}{self.path}", contender.headers()
            answer = httpx.get(url, headers=headers)
            answer.raise_for_status()
            if self.revalidate:
                headers["if-none-match"] = answer.headers["etag"]
                if httpx.get(url, headers=headers).status_code != 304:
                    raise LoadError(f"{contender.name} does not revalidate {self.path}")
            self.loads.setdefault(contender.name, []).append(load(url, headers, seconds, LOAD_CORE))

    def cells(self, columns: list[str]) -> list[str]:
        return [self.what, *(self.cell(name) for name in columns)]

    def cell(self, name: str) -> str:
        if name not in self.loads:
            return "–"
        rate = statistics.median(one.requests_per_s for one in self.loads[name])
        return f"{rate:,.0f}/s ({statistics.median(one.p99_ms for one in self.loads[name]):.1f} ms)"

    def ratio(self, one: str, other: str) -> str:
        if one not in self.loads or other not in self.loads:
            return "–"
        pairs = zip(self.loads[one], self.loads[other], strict=True)
        ratio = statistics.median(mine.requests_per_s / yours.requests_per_s for mine, yours in pairs)
        return f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.0f}×"


def main() -> None:
    parser = argparse.ArgumentParser(prog="measure", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of load per contender and round")
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit(f"Cores {SERVER_CORE} and {LOAD_CORE} are needed, one for the server and one for the load")
    try:
        with Stack(server_core=SERVER_CORE, other_core=LOAD_CORE) as stack:
            measure(stack, wanted.rounds, wanted.seconds)
    except (StartError, LoadError) as error:
        sys.exit(str(error))


def measure(stack: Stack, rounds: int, seconds: int) -> None:
    yardstick = start_yardstick(stack)
    gateway = stack.add_gateway(stack.backend, program("release"))
    gateway.start()
    ways: dict[str, Backend | Gateway] = {"backend": stack.backend, "fastapi-cache2": yardstick, "gateway": gateway}
    token = sign_in(stack.backend.url, "analyst@acme.test")
    backend, cache2, ours = (Contender(name, way.url, token) for name, way in ways.items())
    import_id = stack.postgres.ask("SELECT id FROM migration.data_import WHERE file_name = 'acme-inventory-2.csv'")
    context, mappings = "/api/v1/context/me", f"/api/v1/field-mappings/{import_id}"
    rows = [
        Row("context, hit", context, [backend, cache2, ours]),
        Row("mappings, hit", mappings, [backend, cache2, ours]),
        Row("context, 304", context, [cache2, ours], revalidate=True),
        Row("live endpoint, passed through", "/api/v1/live/imports", [backend, ours]),
    ]
    for number in range(rounds):
        for row in rows:
            print(f"round {number + 1} of {rounds}: {row.what} …", file=sys.stderr, flush=True)
            row.measure(seconds)
    print_table(rows, list(ways))
    print_memory(ways)
    print_queries(stack)
    print_machine(rounds, seconds)


def start_yardstick(stack: Stack) -> Backend:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    redis = Process("Redis", command, stack.folder / "redis.log", cwd=stack.folder, core=LOAD_CORE)
    stack.at_the_end(redis.stop)
    yardstick = stack.add_backend("cached_api.main:app", YARDSTICK, {"REDIS_URL": f"redis://127.0.0.1:{port}"})
    yardstick.start()
    return yardstick


def sign_in(url: str, email: str) -> str:
    answer = httpx.post(f"{url}/api/v1/auth/sign-in", json={"email": email, "password": PASSWORD}, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def print_table(rows: list[Row], names: list[str]) -> None:
    print(f"\nRequests per second (99th percentile of the time), {CONNECTIONS} connections:\n")
    print("| what | " + " | ".join(names) + " | gateway to backend | gateway to fastapi-cache2 |")
    print("|---" * (len(names) + 3) + "|")
    for row in rows:
        ratios = [row.ratio("gateway", "backend"), row.ratio("gateway", "fastapi-cache2")]
        print("| " + " | ".join([*row.cells(names), *ratios]) + " |")


def print_memory(ways: dict[str, Backend | Gateway]) -> None:
    held = {name: way.process.memory_kb() / 1024 for name, way in ways.items() if way.process}
    print("\nMemory after that: " + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in held.items()))


def print_queries(stack: Stack) -> None:
    """Statements that PostgreSQL gets for one journey, each way from the same state of the data."""
    tokens = [sign_in(stack.backend.url, f"user{number}@acme.test") for number in range(1, USERS + 1)]
    client_id = stack.postgres.ask("SELECT id FROM migration.client_account WHERE slug = 'acme'")

    def direct() -> str:
        return stack.backend.url

    def behind_gateway() -> str:
        gateway = stack.add_gateway(stack.backend, program("release"))
        gateway.start()
        return gateway.url

    def with_groups() -> str:
        backend = stack.add_backend(env={"CACHE_GROUPS": "1"})
        backend.start()
        gateway = stack.add_gateway(backend, program("release"), {COARSE: PRECISE})
        gateway.start()
        return gateway.url

    ways: dict[str, Callable[[], str]] = {
        "backend": direct,
        "behind the gateway": behind_gateway,
        "and with `Cache-Groups`": with_groups,
    }
    print("\n| one journey | requests | statements | of those without |\n|---|---|---|---|")
    without = 0
    for name, start in ways.items():
        url = start()
        stack.postgres.ask("UPDATE migration.field_mapping SET status = 'suggested'")
        before = stack.postgres.statements()
        journey = Journey(url, tokens, client_id)
        journey.walk()
        statements = stack.postgres.statements() - before
        without = without or statements
        print(f"| {name} | {journey.requests} | {statements} | {100 * statements / without:.0f} % |", flush=True)


def print_machine(rounds: int, seconds: int) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(line.partition(":")[2] for line in lines if line.startswith("model name"))
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    print(f"\n{model.strip()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}; ", end="")
    print(f"{rounds} rounds of {seconds} s each, medians.")


if __name__ == "__main__":
    main()
