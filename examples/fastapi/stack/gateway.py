"""The gateway before a backend, by the example's own configuration file."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from .backend import Backend, answers
from .processes import Process, StartError, free_port

EXAMPLE = Path(__file__).parent.parent
CONFIGURATION = EXAMPLE / "gateway.toml"
START_WITHIN_S = 15.0

# With `Cache-Groups` from the backend, a review need not declare every answer wrong that shows flows.
COARSE = 'invalidates = ["import:{import_id}", "flows"]'
PRECISE = 'invalidates = ["import:{import_id}"]'


def program(profile: str = "quick") -> Path:
    """`UNSTALE_BIN`, or what `prepare` has built."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", EXAMPLE.parent.parent / "target")) / profile / "unstale"
    found = Path(os.environ.get("UNSTALE_BIN") or built)
    if not found.is_file():
        raise StartError(f"There is no gateway at {found}: run `examples/fastapi/prepare run`, or set UNSTALE_BIN")
    return found.absolute()


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        if old not in text:
            raise StartError(f"{CONFIGURATION} has no {old}, which is to become {new}")
        text = text.replace(old, new)
    return text


@dataclass
class Gateway:
    """Can be stopped and started again on the same ports."""

    folder: Path
    program: Path
    backend: Backend
    changes: dict[str, str] = field(default_factory=dict)
    core: int | None = None
    port: int = field(default_factory=free_port)
    control_port: int = field(default_factory=free_port)
    control_token: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.control_port}"

    @property
    def control_token_file(self) -> Path:
        return self.folder / f"control-{self.port}.token"

    def write_configuration(self) -> Path:
        """The example's file with the addresses of this run."""
        token = self.control_token_file
        token.touch(mode=0o600)
        token.write_text(self.control_token)
        addresses = {
            "127.0.0.1:8080": f"127.0.0.1:{self.port}",
            "127.0.0.1:8081": f"127.0.0.1:{self.control_port}",
            "127.0.0.1:8000": f"127.0.0.1:{self.backend.port}",
            "control.token": token.name,
        }
        path = self.folder / f"gateway-{self.port}.toml"
        path.write_text(replaced(CONFIGURATION.read_text(), addresses | self.changes))
        return path

    def start(self) -> None:
        command = [str(self.program), "gateway", "run", str(self.write_configuration())]
        env = {"JWT_SECRET": self.backend.jwt_secret}
        log = self.folder / f"gateway-{self.port}.log"
        self.process = Process("The gateway", command, log, env=env, core=self.core)
        try:
            self.process.wait_until(lambda: answers(f"{self.control_url}/readyz"), START_WITHIN_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self.process:
            self.process.stop()
            self.process = None
