"""The backend's own endpoints, each under fastapi-cache2's decorator: `uvicorn cached_api.main:app`.

The keys hold the caller, as the gateway's do; with the library's own keys every user would get the first one's answer,
or nobody a cached one, because the arguments that it hashes hold the database session. Nothing invalidates: only hits
are measured here.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi_cache import FastAPICache
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.decorator import cache
from redis import asyncio as redis

from migration_api import api, main
from migration_api.api import context, field_mappings, flows


def key_of_caller(
    function: Callable[..., Any],
    namespace: str = "",
    *,
    request: Request | None = None,
    response: Response | None = None,  # noqa: ARG001
    args: tuple[Any, ...],  # noqa: ARG001
    kwargs: dict[str, Any],
) -> str:
    assert request is not None, "the decorator asks for it"
    caller = kwargs["caller"]
    return f"{namespace}:{caller.client_id}:{caller.user_id}:{function.__name__}:{request.url.path}?{request.url.query}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with main.lifespan(app):
        FastAPICache.init(RedisBackend(redis.from_url(os.environ["REDIS_URL"])), prefix="api")
        yield


router = APIRouter(prefix="/api/v1")
for path, expire_s, endpoint in (
    ("/context/me", 3600, context.get_context_me),
    ("/context-establishment/clients", 1800, context.list_own_clients),
    ("/context-establishment/engagements", 1800, context.list_own_engagements),
    ("/discovery/flows", 300, flows.list_flows),
    ("/field-mappings/{import_id}", 120, field_mappings.get_field_mappings),
    ("/field-mappings/{import_id}/statistics", 120, field_mappings.get_mapping_statistics),
):
    router.get(path)(cache(expire=expire_s, key_builder=key_of_caller)(endpoint))

app = FastAPI(title="Migration platform with fastapi-cache2", lifespan=lifespan)
# The first route that matches answers: the cached ones, then the backend's own.
app.include_router(router)
app.include_router(api.router)
app.get("/healthz")(main.get_health)
