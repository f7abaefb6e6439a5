"""Settings, from the environment."""

from functools import lru_cache
from typing import Annotated

from fastapi import Depends
from pydantic import SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: str
    """Such as `postgresql+asyncpg://migration@/migration?host=/var/run/postgresql`."""
    database_pool_size: int = 10

    jwt_secret: SecretStr
    jwt_key_id: str = "2026-11"
    jwt_issuer: str = "migration-api"
    jwt_audience: str = "migration-platform"
    jwt_lifetime_s: int = 15 * 60

    upload_bytes_max: int = 2 * 1024**3
    cache_groups: bool = False
    """Whether answers that show flows say in `Cache-Groups` (RFC 9875) which imports are in them."""


@lru_cache
def settings() -> Settings:
    return Settings()  # type: ignore[call-arg]  # from the environment


Config = Annotated[Settings, Depends(settings)]
