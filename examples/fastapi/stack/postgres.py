"""A PostgreSQL of our own: in a temporary folder, on a Unix socket, gone afterwards."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from .processes import Process, StartError

DATABASE = USER = "migration"
START_WITHIN_S = 30.0
OPTIONS = (
    "listen_addresses=",
    # What is in it may be lost.
    "fsync=off",
    # Counts statements.
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track_utility=off",
)


def programs() -> Path:
    """Debian keeps them apart by version, and not in the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise StartError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    def __init__(self, folder: Path, *, core: int | None = None) -> None:
        # It refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        self.folder = folder / "postgres"
        self.folder.mkdir(mode=0o700)
        if user:
            shutil.chown(self.folder, user, user)
        data = str(self.folder / "data")
        run("initdb", "-D", data, "-U", USER, "-E", "UTF8", "--auth=trust", "--no-sync", user=user)
        command = [str(programs() / "postgres"), "-D", data, "-k", str(self.folder)]
        command += [word for option in OPTIONS for word in ("-c", option)]
        log = folder / "postgres.log"
        self.process = Process("PostgreSQL", command, log, user=user, core=core, stop_signal=signal.SIGINT)
        try:
            self.process.wait_until(self.is_ready, START_WITHIN_S)
            run("createdb", "-h", str(self.folder), "-U", USER, DATABASE)
            self.ask("CREATE EXTENSION pg_stat_statements")
        except BaseException:
            self.process.stop()
            raise

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://{USER}@/{DATABASE}?host={self.folder}"

    def is_ready(self) -> bool:
        command = [str(programs() / "pg_isready"), "-q", "-h", str(self.folder)]
        return subprocess.run(command, check=False).returncode == 0

    def ask(self, statement: str) -> str:
        return run("psql", "-h", str(self.folder), "-U", USER, "-d", DATABASE, "-Atqc", statement).strip()

    def statements(self) -> int:
        """How many it was asked so far, without our own and the health checks'."""
        return int(
            self.ask(
                "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements "
                "WHERE query !~ 'pg_stat_statements' "
                "AND query NOT LIKE 'SELECT $_'"
            )
        )


def run(program: str, *arguments: str, user: str | None = None) -> str:
    command = [str(programs() / program), *arguments]
    # In a folder that the other user may be in.
    done = subprocess.run(command, check=False, capture_output=True, text=True, user=user, group=user, cwd="/")
    if done.returncode != 0:
        raise StartError(f"{program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
