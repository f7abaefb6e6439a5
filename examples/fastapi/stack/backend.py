"""The backend, as its team runs it: uvicorn with one worker."""

import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Process, StartError, free_port

SOURCES = Path(__file__).parent.parent / "backend"
START_WITHIN_S = 30.0


@dataclass
class Backend:
    """Can be stopped and started again on the same port."""

    folder: Path
    database_url: str
    jwt_secret: str
    app: str = "migration_api.main:app"
    path: Path = SOURCES
    env: dict[str, str] = field(default_factory=dict)
    core: int | None = None
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": f"{SOURCES}:{self.path}",
            "DATABASE_URL": self.database_url,
            "JWT_SECRET": self.jwt_secret,
            **self.env,
        }

    def seed(self) -> None:
        command = [sys.executable, "-m", "migration_api.seed"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=self.environment())
        if done.returncode != 0:
            raise StartError(f"Seeding the database failed:\n{done.stderr[-3000:]}")

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", self.app, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--no-access-log"]
        log = self.folder / f"backend-{self.port}.log"
        self.process = Process("The backend", command, log, env=self.environment(), core=self.core)
        try:
            self.process.wait_until(lambda: answers(f"{self.url}/healthz"), START_WITHIN_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self.process:
            self.process.stop()
            self.process = None


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
