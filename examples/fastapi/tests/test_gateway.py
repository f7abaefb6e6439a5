"""The same backend, with the gateway before it: what users get, how fresh, and who gets it."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from conftest import User, import_id, sign_in, statuses
from migration_api.seed import fixed_id
from stack.gateway import COARSE, PRECISE, Gateway, program
from stack.stack import Stack

WITHIN_S = 30

BY_TOKEN = """\
name = "token"

[identity.jwt]
secret_env = "JWT_SECRET"
issuers = ["migration-api"]
audiences = ["migration-platform"]
tenant = "tenant"
"""
BY_INTROSPECTION = """\
name = "session"

[identity.introspection]
upstream = "backend"
path = "/api/v1/auth/introspect"
principal = "sub"
tenant = "tenant"
distinguish = ["role"]
share_sessions = true
max_age = "1s"
"""
EXPORT_ROUTE = """\
[[routes]]
path = "/api/v1/imports/{import_id}/export"
upstream = "backend"
cache = { ttl = "1m" }
sharing = "tenant"
"""


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[Gateway]:
    gateway = stack.add_gateway(stack.backend, program())
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def analyst(gateway: Gateway) -> User:
    return sign_in(gateway.url, "analyst@acme.test")


@pytest.fixture(scope="module")
def colleague(gateway: Gateway) -> User:
    return sign_in(gateway.url, "user1@acme.test")


@pytest.fixture(scope="module")
def stranger(gateway: Gateway) -> User:
    return sign_in(gateway.url, "analyst@globex.test")


def outcome(answer: httpx.Response) -> str:
    assert answer.status_code in (200, 304), answer.text
    return answer.headers["x-cache"]


def eventually(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.05)


# ---- Kept, and by whom -----------------------------------------------------------------------------------------------


def test_the_second_read_asks_neither_backend_nor_database(stack: Stack, analyst: User, number: int) -> None:
    paths = [
        "/context/me",
        "/context-establishment/clients",
        f"/context-establishment/engagements?client_id={fixed_id('acme')}",
        "/discovery/flows",
        f"/field-mappings/{import_id('acme', number)}",
        f"/field-mappings/{import_id('acme', number)}/statistics",
    ]
    first = [analyst.get(path) for path in paths]
    before = stack.postgres.statements()
    second = [analyst.get(path) for path in paths]
    assert stack.postgres.statements() == before
    assert [outcome(answer) for answer in second] == ["HIT"] * len(paths)
    assert [answer.content for answer in second] == [answer.content for answer in first]
    assert all("hit" in answer.headers["cache-status"] for answer in second)


def test_every_answer_is_the_backends_own(stack: Stack, gateway: Gateway, number: int) -> None:
    own, foreign = import_id("acme", number), import_id("globex", number)
    paths = [
        "/context/me",
        "/context-establishment/clients",
        f"/context-establishment/engagements?client_id={fixed_id('acme')}",
        f"/context-establishment/engagements?client_id={fixed_id('globex')}",
        "/context-establishment/engagements",
        "/discovery/flows",
        f"/field-mappings/{own}",
        f"/field-mappings/{own}/statistics",
        f"/field-mappings/{foreign}",
        "/field-mappings/nonsense",
        f"/imports/{own}",
        f"/imports/{own}/export",
        "/nowhere",
    ]
    for email in ("analyst@acme.test", "viewer@acme.test", "consultant@partner.test"):
        direct, behind = sign_in(stack.backend.url, email), sign_in(gateway.url, email)
        for path in paths:
            expected = direct.get(path)
            for _ in range(2):
                got = behind.get(path)
                assert (got.status_code, got.content) == (expected.status_code, expected.content), path
                assert got.headers["content-type"] == expected.headers["content-type"], path


def test_a_browser_is_told_that_nothing_has_changed(stack: Stack, analyst: User, number: int) -> None:
    etag = analyst.mappings(number).headers["etag"]
    before = stack.postgres.statements()
    again = analyst.mappings(number, if_none_match=etag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert stack.postgres.statements() == before
    analyst.review("approve", number, 0)
    assert analyst.mappings(number, if_none_match=etag).status_code == 200


def test_heads_are_answered_like_reads(analyst: User, number: int) -> None:
    whole = analyst.mappings(number)
    head = analyst.http.head(f"/field-mappings/{import_id('acme', number)}")
    assert (outcome(head), head.content) == ("HIT", b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]


def test_the_live_endpoint_is_never_kept(analyst: User) -> None:
    first, second = analyst.get("/live/imports"), analyst.get("/live/imports")
    assert first.json()["now"] < second.json()["now"]
    assert "HIT" not in (first.headers.get("x-cache"), second.headers.get("x-cache"))


# ---- Fresh -----------------------------------------------------------------------------------------------------------


def test_a_review_is_seen_at_once_by_everybody(analyst: User, colleague: User, number: int) -> None:
    for position in range(12):
        for user in (analyst, colleague):
            assert statuses(user.mappings(number))[position] == "suggested"
        written = analyst.review("approve" if position % 2 else "reject", number, position)
        reached = written.headers["unstale-position"]
        word = "approved" if position % 2 else "rejected"
        # With the position: right on any gateway that shares the store. Without: right on this one.
        assert statuses(colleague.mappings(number, unstale_position=reached))[position] == word
        assert statuses(analyst.mappings(number))[position] == word
        assert colleague.statistics(number).json() == written.json()["statistics"]
        flows = colleague.get("/discovery/flows").json()["items"]
        flow = next(flow for flow in flows if flow["import_id"] == str(import_id("acme", number)))
        assert flow["progress_percent"] == 100 * (position + 1) // 24


def test_nobody_reads_what_was_before_an_acknowledged_review(gateway: Gateway, analyst: User, number: int) -> None:
    """Readers never stop while mapping after mapping is approved; loads and reviews meet all the time."""
    acknowledged, position = 0, ""
    faults: list[str] = []
    reads = {"HIT": 0, "MISS": 0, "STALE": 0, "BYPASS": 0}
    over = threading.Event()

    def read(user: User, with_position: bool) -> None:
        while not over.is_set():
            expected, headers = acknowledged, {"unstale_position": position} if with_position and position else {}
            answer = user.mappings(number, **headers)
            approved = statuses(answer).count("approved")
            reads[answer.headers["x-cache"]] += 1
            if approved < expected:
                faults.append(f"{approved} of {expected} ({answer.headers['cache-status']})")

    users = [sign_in(gateway.url, f"user{number}@acme.test") for number in range(1, 5)]
    readers = [threading.Thread(target=read, args=(user, place % 2 == 0)) for place, user in enumerate(users)]
    for reader in readers:
        reader.start()
    try:
        for place in range(24):
            done = analyst.review("approve", number, place)
            assert done.json()["updated"] == 1
            # The position is never behind what is expected.
            position = done.headers["unstale-position"]
            acknowledged = place + 1
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert not faults
    assert reads["HIT"] > 0
    assert reads["MISS"] >= 1


def test_a_refused_review_changes_nothing(gateway: Gateway, analyst: User, number: int) -> None:
    analyst.mappings(number)
    viewer = sign_in(gateway.url, "viewer@acme.test")
    assert viewer.review("approve", number, 0).status_code == 403
    assert outcome(analyst.mappings(number)) == "HIT"


def test_another_import_stays_cached(analyst: User, number: int, other_number: int) -> None:
    analyst.mappings(number)
    analyst.mappings(other_number)
    analyst.review("approve", number, 0)
    assert outcome(analyst.mappings(other_number)) == "HIT"
    assert outcome(analyst.mappings(number)) == "MISS"


def test_an_upload_shows_in_the_flows(analyst: User) -> None:
    before = len(analyst.get("/discovery/flows").json()["items"])
    wanted = {"engagement_id": str(fixed_id("acme", "engagement", 0)), "file_name": "new.csv"}
    assert analyst.http.post("/imports", params=wanted, content=b"hostname\nsrv-1\n").status_code == 201
    assert len(analyst.get("/discovery/flows").json()["items"]) == before + 1
    assert analyst.get("/context/me").json()["active_flows"][0]["name"] == "Discovery of new.csv"


# ---- Apart -----------------------------------------------------------------------------------------------------------


def test_users_have_their_own_and_colleagues_share_what_is_the_teams(
    analyst: User, colleague: User, number: int
) -> None:
    assert analyst.get("/context/me").json()["user"]["email"] == "analyst@acme.test"
    assert colleague.get("/context/me").json()["user"]["email"] == "user1@acme.test"
    analyst.mappings(number)
    assert outcome(colleague.mappings(number)) == "HIT"


def test_another_client_gets_nothing_of_it(analyst: User, stranger: User, number: int) -> None:
    own = import_id("acme", number)
    for path in (f"/field-mappings/{own}", f"/field-mappings/{own}/statistics"):
        for _ in range(2):
            assert analyst.get(path).status_code == 200
            assert stranger.get(path).status_code == 404
    names = [{flow["name"] for flow in user.get("/discovery/flows").json()["items"]} for user in (analyst, stranger)]
    ids = [{flow["id"] for flow in user.get("/discovery/flows").json()["items"]} for user in (analyst, stranger)]
    assert names[0] >= names[1]
    assert not ids[0] & ids[1]


def test_a_consultant_sees_each_client_with_its_own_token(gateway: Gateway) -> None:
    for _ in range(2):
        for client in ("acme", "globex"):
            consultant = sign_in(gateway.url, "consultant@partner.test", client)
            assert consultant.get("/context/me").json()["client"]["slug"] == client


def test_a_review_of_one_client_leaves_the_other_cached(analyst: User, stranger: User, number: int) -> None:
    stranger.mappings(number)
    analyst.review("approve", number, 0)
    assert outcome(stranger.mappings(number)) == "HIT"
    assert statuses(stranger.mappings(number))[0] == "suggested"


def test_nobody_gets_in_without_a_good_token(stack: Stack, gateway: Gateway, analyst: User, number: int) -> None:
    path = f"/api/v1/field-mappings/{import_id('acme', number)}"
    analyst.mappings(number)
    claims = jwt.decode(analyst.token, options={"verify_signature": False})
    now = datetime.now(UTC)
    kid = {"kid": "2026-11"}
    forged = {
        "none": None,
        "nonsense": "nonsense",
        "another key": jwt.encode(claims, "another secret of the right length", "HS256", headers=kid),
        "no signature": jwt.encode(claims, None, "none", headers=kid),
        "expired": jwt.encode(claims | {"exp": now - timedelta(minutes=5)}, stack.jwt_secret, "HS256", headers=kid),
        "of another issuer": jwt.encode(claims | {"iss": "else"}, stack.jwt_secret, "HS256", headers=kid),
    }
    for what, token in forged.items():
        headers = {"authorization": f"Bearer {token}"} if token else {}
        for _ in range(2):
            assert httpx.get(gateway.url + path, headers=headers).status_code == 401, what


def test_with_introspection_signing_out_is_heard_of(stack: Stack, number: int) -> None:
    """The README's other way to know users: the gateway asks the backend."""
    gateway = stack.add_gateway(stack.backend, program(), {BY_TOKEN: BY_INTROSPECTION})
    gateway.start()
    try:
        user, colleague = sign_in(gateway.url, "user2@acme.test"), sign_in(gateway.url, "user3@acme.test")
        assert outcome(user.mappings(number)) == "MISS"
        assert outcome(colleague.mappings(number)) == "HIT"
        assert colleague.get("/context/me").json()["user"]["email"] == "user3@acme.test"
        assert user.http.post("/auth/sign-out").status_code == 204
        # The backend itself would go by the token until it expires; it is the gateway that asks.
        eventually(lambda: user.mappings(number).headers["x-cache"] != "HIT", "the session is over")
        assert outcome(colleague.mappings(number)) == "HIT"
    finally:
        gateway.stop()


# ---- Changed past the gateway ----------------------------------------------------------------------------------------


def test_a_job_says_what_it_changed(stack: Stack, gateway: Gateway, analyst: User, stranger: User, number: int) -> None:
    analyst.mappings(number)
    stranger.mappings(number)
    own = import_id("acme", number)
    stack.postgres.ask(f"UPDATE migration.field_mapping SET status = 'rejected' WHERE import_id = '{own}'")
    assert set(statuses(analyst.mappings(number))) == {"suggested"}, "nobody has said it yet"

    def invalidate(*more: str) -> dict[str, object]:
        command = [str(program()), "invalidate", "--url", gateway.control_url, "--tenant", str(fixed_id("acme"))]
        command += ["--group", f"import:{own}", *more]
        env = {"UNSTALE_TOKEN": gateway.control_token}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        told: dict[str, object] = json.loads(done.stdout)
        return told

    held = invalidate("--dry-run")["held"]
    assert isinstance(held, dict)
    assert held["entries"] == 1
    assert outcome(analyst.mappings(number)) == "HIT"
    invalidate()
    assert set(statuses(analyst.mappings(number))) == {"rejected"}
    assert outcome(stranger.mappings(number)) == "HIT"


# ---- Streams and sockets ---------------------------------------------------------------------------------------------

ROW = b"x" * 500_000 + b",y\r\n"
ROWS = 128


def test_large_files_stream_both_ways(gateway: Gateway, analyst: User) -> None:
    """64 MB up and down, and the gateway holds none of it."""
    assert gateway.process
    held = [gateway.process.memory_kb()]
    arrived = threading.Event()

    def note() -> None:
        assert gateway.process
        held.append(gateway.process.memory_kb())

    def body() -> Iterator[bytes]:
        yield b"name,comment\r\n"
        for number in range(ROWS):
            # The second half is sent when the backend has told of rows of the first.
            if number == ROWS // 2:
                assert arrived.wait(WITHIN_S)
            note()
            yield ROW

    def watch() -> None:
        while not any(made["rows_total"] for made in analyst.get("/live/imports").json()["reading"]):
            time.sleep(0.05)
        arrived.set()

    threading.Thread(target=watch, daemon=True).start()
    wanted = {"engagement_id": str(fixed_id("acme", "engagement", 0)), "file_name": "large.csv"}
    made = analyst.http.post("/imports", params=wanted, content=body())
    assert made.status_code == 201, made.text
    assert made.json()["rows_total"] == ROWS
    got = 0
    with analyst.http.stream("GET", f"/imports/{made.json()['id']}/export") as export:
        for chunk in export.iter_raw():
            got += len(chunk)
            note()
    assert got == len(b"name,comment\r\n") + ROWS * len(ROW)
    assert max(held) - held[0] < 16 * 1024, "KiB more than before"


def test_an_answer_too_large_to_keep_streams_through(stack: Stack, number: int) -> None:
    """Although its route says that answers are kept."""
    gateway = stack.add_gateway(stack.backend, program(), {"# ---- Writes": f"{EXPORT_ROUTE}\n# ---- Writes"})
    gateway.start()
    try:
        user = sign_in(gateway.url, "analyst@acme.test")
        assert gateway.process
        held = [gateway.process.memory_kb()]
        small, large = (f"/imports/{import_id('acme', each)}/export" for each in (number, 0))
        for _ in range(2):
            with user.http.stream("GET", large) as export:
                assert export.headers["x-cache"] != "HIT"
                for _ in export.iter_raw():
                    held.append(gateway.process.memory_kb())
        assert max(held) - held[0] < 6 * 1024, "KiB more than before, of an export of 8 MB"
        assert [outcome(user.get(small)) for _ in range(2)] == ["MISS", "HIT"]
    finally:
        gateway.stop()


def test_sockets_get_through(gateway: Gateway, analyst: User) -> None:
    address = f"{gateway.url.replace('http', 'ws')}/api/v1/live/echo"
    with connect(address, additional_headers={"authorization": f"Bearer {analyst.token}"}) as socket:
        assert str(analyst.id) in str(socket.recv())
        for text in ("hello", "x" * 100_000):
            socket.send(text)
            assert socket.recv() == text
    with pytest.raises(InvalidStatus):
        connect(address)


# ---- The backend goes and comes back ---------------------------------------------------------------------------------


def test_what_is_cached_outlives_a_restart_of_the_backend(stack: Stack, number: int, other_number: int) -> None:
    backend = stack.add_backend()
    backend.start()
    gateway = stack.add_gateway(backend, program())
    gateway.start()
    try:
        user = sign_in(gateway.url, "analyst@acme.test")
        assert outcome(user.mappings(number)) == "MISS"
        backend.stop()
        assert outcome(user.mappings(number)) == "HIT"
        assert user.mappings(other_number).status_code in (502, 503, 504)
        backend.start()
        eventually(lambda: user.mappings(other_number).status_code == 200, "the backend is asked again")
        assert user.review("approve", number, 0).status_code == 200
        assert statuses(user.mappings(number))[0] == "approved"
    finally:
        gateway.stop()
        backend.stop()


def test_what_is_past_its_time_is_given_while_the_backend_is_away(stack: Stack, number: int, other_number: int) -> None:
    backend = stack.add_backend()
    backend.start()
    short = {'cache = { ttl = "2m", fail_safe = "10m" }': 'cache = { ttl = "1s", fail_safe = "10m" }'}
    gateway = stack.add_gateway(backend, program(), short)
    gateway.start()
    try:
        user = sign_in(gateway.url, "analyst@acme.test")
        user.mappings(number)
        user.mappings(other_number)
        assert user.review("approve", other_number, 0).status_code == 200
        backend.stop()
        eventually(lambda: user.mappings(number).headers["x-cache"] == "STALE", "its time is over")
        assert statuses(user.mappings(number))[0] == "suggested"
        # What was declared wrong is not given, however much the backend is missed.
        assert user.mappings(other_number).status_code in (502, 503, 504)
    finally:
        gateway.stop()
        backend.stop()


# ---- The team's code -------------------------------------------------------------------------------------------------


def test_the_backend_knows_nothing_of_what_is_before_it(stack: Stack) -> None:
    sources = [path for path in stack.backend.path.rglob("*") if path.suffix in (".py", ".txt")]
    assert sources
    for path in sources:
        assert "unstale" not in path.read_text().lower(), path
    assert stack.backend_env == {}


def test_with_cache_groups_a_review_ends_only_what_shows_it(stack: Stack, number: int) -> None:
    backend = stack.add_backend(env={"CACHE_GROUPS": "1"})
    backend.start()
    gateway = stack.add_gateway(backend, program(), {COARSE: PRECISE})
    gateway.start()
    try:
        emails = ["analyst@acme.test", "consultant@partner.test", *(f"user{n}@acme.test" for n in range(1, 10))]
        users = [sign_in(gateway.url, email, "acme") for email in emails]
        reviewed = str(import_id("acme", number))
        owner_id = next(flow["owner_id"] for flow in flows_of(users[0]) if flow["import_id"] == reviewed)
        owner = next(user for user in users if str(user.id) == owner_id)
        other = next(user for user in users if str(user.id) != owner_id)
        for user in (owner, other):
            # Groups are the backend's business with the gateway; clients get them in a form that says nothing.
            assert reviewed not in str(user.get("/context/me").headers)
        owner.review("approve", number, 0)
        assert outcome(other.get("/context/me")) == "HIT"
        assert outcome(owner.get("/context/me")) == "MISS"
        assert next(flow for flow in flows_of(owner) if flow["import_id"] == reviewed)["progress_percent"] == 4
    finally:
        gateway.stop()
        backend.stop()


def flows_of(user: User) -> list[dict[str, str | int]]:
    items: list[dict[str, str | int]] = user.get("/discovery/flows").json()["items"]
    return items
