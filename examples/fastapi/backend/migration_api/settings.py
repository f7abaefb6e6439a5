"""Settings, from the environment."""

from functools import lru_cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    database_url: str
    """Such as `postgresql+asyncpg://migration@/migration?host=/var/run/postgresql`."""
    database_pool_size: int = 10

    jwt_secret: SecretStr
    jwt_key_id: str = "2026-11"
    jwt_issuer: str = "migration-api"
    jwt_lifetime_s: int = 15 * 60
    introspection_secret: SecretStr
    """What other services of ours present at `/api/v1/auth/introspect`."""

    upload_bytes_max: int = 2 * 1024**3
    cache_groups: bool = False
    """Whether lists say in `Cache-Groups` (RFC 9875) which imports they show."""


@lru_cache
def settings() -> Settings:
    return Settings()  # type: ignore[call-arg]  # from the environment
