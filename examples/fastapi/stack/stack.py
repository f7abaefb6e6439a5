"""The whole example, in one temporary folder."""

import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from .backend import Backend, Secrets
from .postgres import Postgres


class Stack:
    """PostgreSQL and the backend run when it is entered."""

    def __init__(self, *, server_core: int | None = None, other_core: int | None = None) -> None:
        self.server_core = server_core
        self.other_core = other_core
        self.secrets = Secrets(jwt=secrets.token_urlsafe(48), introspection=secrets.token_urlsafe(48))

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="unstale-fastapi-"))
        # PostgreSQL's user must reach its folder in here.
        self.folder.chmod(0o711)
        self._stops = [lambda: shutil.rmtree(self.folder, ignore_errors=True)]
        try:
            self.postgres = Postgres(self.folder, core=self.other_core)
            self._stops.append(self.postgres.process.stop)
            self.backend = self.add_backend()
            self.backend.seed()
            self.backend.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        while self._stops:
            self._stops.pop()()

    def add_backend(self, app: str = "migration_api.main:app", path: Path | None = None, **env: str) -> Backend:
        """Another backend on the same database; not started."""
        backend = Backend(self.folder, self.postgres.url, self.secrets, app, env=env, core=self.server_core)
        if path:
            backend.path = path
        self._stops.append(backend.stop)
        return backend
