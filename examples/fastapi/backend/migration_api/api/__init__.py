"""The endpoints, one module per group."""

from fastapi import APIRouter

from . import context, field_mappings, flows, imports, live, sign_in

router = APIRouter(prefix="/api/v1")
for module in (sign_in, context, flows, field_mappings, imports, live):
    router.include_router(module.router)
