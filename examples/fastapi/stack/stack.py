"""The whole example, in one temporary folder."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from .backend import SOURCES, Backend
from .gateway import Gateway
from .postgres import Postgres


class Stack:
    """PostgreSQL and the backend run while it is entered; more backends, and gateways, when they are started."""

    def __init__(
        self,
        *,
        backend_env: Mapping[str, str] | None = None,
        server_core: int | None = None,
        other_core: int | None = None,
    ) -> None:
        self.server_core = server_core
        self.other_core = other_core
        self.backend_env = backend_env or {}
        self.jwt_secret = secrets.token_urlsafe(48)
        self._stops: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="unstale-fastapi-"))
        self.at_the_end(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        try:
            # PostgreSQL's user must reach its folder in here.
            self.folder.chmod(0o711)
            self.postgres = Postgres(self.folder, core=self.other_core)
            self.at_the_end(self.postgres.process.stop)
            self.backend = self.add_backend(env=self.backend_env)
            self.backend.seed()
            self.backend.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def at_the_end(self, stop: Callable[[], object]) -> None:
        """What came last is stopped first."""
        self._stops.append(stop)

    def _stop(self) -> None:
        while self._stops:
            self._stops.pop()()

    def add_backend(
        self, app: str = "migration_api.main:app", path: Path = SOURCES, env: Mapping[str, str] | None = None
    ) -> Backend:
        """Another backend on the same database."""
        backend = Backend(self.folder, self.postgres.url, self.jwt_secret, app, path, dict(env or {}), self.server_core)
        self.at_the_end(backend.stop)
        return backend

    def add_gateway(self, backend: Backend, program: Path, changes: dict[str, str] | None = None) -> Gateway:
        """A gateway before a backend, with changes to the configuration file."""
        gateway = Gateway(self.folder, program, backend, changes or {}, self.server_core)
        self.at_the_end(gateway.stop)
        return gateway
