"""Signing in and out, and what other services ask about a token."""

import hmac
from typing import Annotated

import jwt
from fastapi import APIRouter, Depends, Form, Header, HTTPException, Response, status
from pwdlib import PasswordHash
from sqlalchemy import func, select, update
from starlette.concurrency import run_in_threadpool

from ..database import Session
from ..models import SignIn, User
from ..schemas import Introspection, SignedIn, SignInRequest
from ..security import CurrentCaller, issue, role_of, verify
from ..settings import Settings, settings

router = APIRouter(prefix="/auth", tags=["auth"])
passwords = PasswordHash.recommended()
Config = Annotated[Settings, Depends(settings)]


@router.post("/sign-in")
async def sign_in(wanted: SignInRequest, session: Session, config: Config, response: Response) -> SignedIn:
    user = await session.scalar(select(User).where(User.email == wanted.email, User.is_active))
    if user is None or not await run_in_threadpool(passwords.verify, wanted.password, user.password_hash):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "E-mail address or password is wrong")
    client_id = wanted.client_account_id or user.default_client_id
    if await role_of(session, user.id, client_id) is None:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You are no member of this client")
    token, token_id = issue(user.id, client_id, config)
    session.add(SignIn(id=token_id, user_id=user.id))
    await session.commit()
    response.headers["Cache-Control"] = "no-store"
    return SignedIn(access_token=token, expires_in=config.jwt_lifetime_s)


@router.post("/sign-out", status_code=status.HTTP_204_NO_CONTENT)
async def sign_out(session: Session, caller: CurrentCaller) -> None:
    await session.execute(update(SignIn).where(SignIn.id == caller.token_id).values(revoked_at=func.now()))
    await session.commit()


@router.post("/introspect", response_model_exclude_none=True)
async def introspect(
    token: Annotated[str, Form()],
    authorization: Annotated[str, Header()],
    session: Session,
    config: Config,
) -> Introspection:
    """Whether a token is still good (RFC 7662): signed here, not expired, not signed out, the user not disabled."""
    expected = f"Bearer {config.introspection_secret.get_secret_value()}"
    if not hmac.compare_digest(authorization.encode(), expected.encode()):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "This is for our own services")
    try:
        caller = verify(token, config)
    except (jwt.InvalidTokenError, ValueError):
        return Introspection(active=False)
    signed_in = (
        select(SignIn.id)
        .join(User, User.id == SignIn.user_id)
        .where(SignIn.id == caller.token_id, SignIn.revoked_at.is_(None), User.is_active)
    )
    if await session.scalar(signed_in) is None:
        return Introspection(active=False)
    return Introspection(
        active=True,
        sub=caller.user_id,
        tenant=caller.client_id,
        iss=config.jwt_issuer,
        iat=caller.issued_at,
        exp=caller.expires_at,
        jti=caller.token_id,
    )
