"""Who the caller is: tokens are signed with a shared secret and name the user and the client that they act for."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, HTTPException, status
from fastapi.requests import HTTPConnection
from sqlalchemy import select

from .database import Session
from .models import Membership, Role
from .settings import Config, Settings

ALGORITHM = "HS256"


@dataclass(frozen=True)
class Caller:
    user_id: UUID
    client_id: UUID
    token_id: UUID


def issue(user_id: UUID, client_id: UUID, config: Settings) -> tuple[str, UUID]:
    """A token, and its id."""
    now, token_id = int(datetime.now(UTC).timestamp()), uuid4()
    claims = {
        "iss": config.jwt_issuer,
        "aud": config.jwt_audience,
        "sub": str(user_id),
        "tenant": str(client_id),
        "jti": str(token_id),
        "iat": now,
        "exp": now + config.jwt_lifetime_s,
    }
    secret = config.jwt_secret.get_secret_value()
    return jwt.encode(claims, secret, ALGORITHM, headers={"kid": config.jwt_key_id}), token_id


def verify(token: str, config: Settings) -> Caller:
    """The caller of a token; `jwt.InvalidTokenError` if it is none of ours, or no longer good."""
    if jwt.get_unverified_header(token).get("kid") != config.jwt_key_id:
        raise jwt.InvalidKeyError("the token was signed with another key")
    claims = jwt.decode(
        token,
        config.jwt_secret.get_secret_value(),
        algorithms=[ALGORITHM],
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        options={"require": ["sub", "tenant", "jti", "exp"]},
    )
    return Caller(
        user_id=UUID(claims["sub"]),
        client_id=UUID(claims["tenant"]),
        token_id=UUID(claims["jti"]),
    )


def get_caller(connection: HTTPConnection, config: Config) -> Caller:
    """For requests and WebSockets alike."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError("there is no bearer token")
        return verify(token, config)
    except (jwt.InvalidTokenError, ValueError) as error:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, f"Sign in: {error}", headers={"WWW-Authenticate": "Bearer"}
        ) from error


CurrentCaller = Annotated[Caller, Depends(get_caller)]


async def role_of(session: Session, user_id: UUID, client_id: UUID) -> Role | None:
    wanted = select(Membership.role).where(Membership.user_id == user_id, Membership.client_account_id == client_id)
    return await session.scalar(wanted)


async def require_reviewer(session: Session, caller: CurrentCaller) -> Caller:
    """The caller, if they may approve and reject."""
    if await role_of(session, caller.user_id, caller.client_id) not in (Role.ANALYST, Role.CLIENT_ADMIN):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Only analysts and administrators of the client may review")
    return caller


Reviewer = Annotated[Caller, Depends(require_reviewer)]
