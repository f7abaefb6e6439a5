"""The backend by itself, as its own team would test it."""

import threading
from collections.abc import Iterator

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from conftest import User, import_id, sign_in, statuses
from migration_api.seed import fixed_id
from stack.stack import Stack


@pytest.fixture(scope="module")
def url(stack: Stack) -> str:
    return stack.backend.url


@pytest.fixture(scope="module")
def analyst(url: str) -> User:
    return sign_in(url, "analyst@acme.test")


def test_a_token_says_who_acts_for_whom(analyst: User) -> None:
    assert jwt.get_unverified_header(analyst.token) == {"alg": "HS256", "kid": "2026-11", "typ": "JWT"}
    claims = jwt.decode(analyst.token, options={"verify_signature": False})
    assert (claims["sub"], claims["tenant"]) == (str(analyst.id), str(fixed_id("acme")))


def test_signing_in_needs_the_password_and_a_membership(url: str) -> None:
    wanted = {"email": "analyst@acme.test", "password": "wrong"}
    assert httpx.post(f"{url}/api/v1/auth/sign-in", json=wanted).status_code == 401
    wanted = {"email": "analyst@acme.test", "password": "demo-password", "client_account_id": str(fixed_id("globex"))}
    assert httpx.post(f"{url}/api/v1/auth/sign-in", json=wanted).status_code == 403


def test_without_a_good_token_nothing_is_answered(url: str, analyst: User) -> None:
    for authorization in (None, "Bearer nonsense", f"Bearer {analyst.token[:-4]}AAAA"):
        headers = {"authorization": authorization} if authorization else {}
        assert httpx.get(f"{url}/api/v1/context/me", headers=headers).status_code == 401


def test_a_token_stands_until_its_user_signs_out(url: str) -> None:
    user = sign_in(url, "user1@acme.test")
    who = {"sub": str(user.id), "tenant": str(fixed_id("acme")), "role": "analyst"}
    assert user.get("/auth/introspect").json() == who
    assert user.http.post("/auth/sign-out").status_code == 204
    assert user.get("/auth/introspect").status_code == 401


def test_the_context_shows_where_the_caller_stands(analyst: User) -> None:
    context = analyst.get("/context/me").json()
    assert context["user"]["email"] == "analyst@acme.test"
    assert context["client"]["slug"] == "acme"
    assert context["engagement"]["name"] == "Data centre exit"
    assert {flow["owner_id"] for flow in context["active_flows"]} == {str(analyst.id)}


def test_a_consultant_chooses_between_clients(url: str, analyst: User) -> None:
    consultant = sign_in(url, "consultant@partner.test", "globex")
    clients = consultant.get("/context-establishment/clients").json()["items"]
    assert [client["slug"] for client in clients] == ["acme", "globex"]
    engagements = f"/context-establishment/engagements?client_id={fixed_id('globex')}"
    assert len(consultant.get(engagements).json()["items"]) == 6
    assert analyst.get(engagements).status_code == 403


def test_another_clients_import_does_not_exist(analyst: User) -> None:
    foreign = import_id("globex", 0)
    for path in (f"/field-mappings/{foreign}", f"/field-mappings/{foreign}/statistics", f"/imports/{foreign}/export"):
        assert analyst.get(path).status_code == 404


def test_a_review_shows_in_mappings_statistics_and_flows(analyst: User, number: int) -> None:
    done = analyst.review("approve", number, 0, 1, 2).json()
    assert (done["updated"], done["statistics"]["approved"]) == (3, 3)
    assert analyst.review("reject", number, 2).json()["updated"] == 1
    assert statuses(analyst.mappings(number))[:4] == ["approved", "approved", "rejected", "suggested"]
    assert analyst.statistics(number).json() == done["statistics"] | {
        "approved": 2,
        "rejected": 1,
        "approved_percent": pytest.approx(100 * 2 / 24),
    }
    flows = analyst.get("/discovery/flows").json()["items"]
    flow = next(flow for flow in flows if flow["import_id"] == str(import_id("acme", number)))
    assert flow["progress_percent"] == 12


def test_a_finished_review_moves_the_flow_on(analyst: User, number: int) -> None:
    analyst.review("approve", number, *range(24))
    flow = analyst.get("/discovery/flows").json()["items"][0]
    assert (flow["import_id"], flow["phase"]) == (str(import_id("acme", number)), "data_cleansing")
    assert flow["progress_percent"] == 100


def test_viewers_may_not_review(url: str, number: int) -> None:
    assert sign_in(url, "viewer@acme.test").review("approve", number, 0).status_code == 403


def test_a_file_is_read_while_it_arrives_and_comes_back_whole(analyst: User) -> None:
    head, first, second = b"name,comment\r\n", b'a,"1\r\n2"\r\n' * 1500, b"\xc3\xa4,\r\n"
    saw_first = threading.Event()

    def body() -> Iterator[bytes]:
        yield head + first[:-3]
        assert saw_first.wait(30)
        yield first[-3:] + second

    def watch() -> None:
        while not any(made["rows_total"] == 1000 for made in analyst.get("/live/imports").json()["reading"]):
            pass
        saw_first.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    wanted = {"engagement_id": str(fixed_id("acme", "engagement", 0)), "file_name": "small.csv"}
    made = analyst.http.post("/imports", params=wanted, content=body())
    assert made.status_code == 201, made.text
    assert (made.json()["status"], made.json()["rows_total"]) == ("completed", 1501)
    export = analyst.get(f"/imports/{made.json()['id']}/export")
    assert export.content == head + first + second
    mappings = analyst.get(f"/field-mappings/{made.json()['id']}").json()["items"]
    assert [item["sample_values"] for item in mappings] == [["a", "ä"], ["1\r\n2"]]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b"a,b\n1\n", "row 1 has 1 cells"), (b'a,b\n"1\n', "unexpected end"), (b"\xff\n", "UTF-8")],
)
def test_a_bad_file_is_refused_with_the_reason(analyst: User, content: bytes, complaint: str) -> None:
    wanted = {"engagement_id": str(fixed_id("acme", "engagement", 0)), "file_name": "bad.csv"}
    answer = analyst.http.post("/imports", params=wanted, content=content)
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]
    assert analyst.get("/live/imports").json()["reading"] == []


def test_sockets_echo_to_those_who_signed_in(url: str, analyst: User) -> None:
    address = f"{url.replace('http', 'ws')}/api/v1/live/echo"
    with connect(address, additional_headers={"authorization": f"Bearer {analyst.token}"}) as socket:
        assert str(analyst.id) in str(socket.recv())
        socket.send("hello")
        assert socket.recv() == "hello"
    with pytest.raises(InvalidStatus):
        connect(address)


def test_answers_say_what_they_show_only_if_they_are_told_to(stack: Stack, analyst: User) -> None:
    assert "cache-groups" not in analyst.get("/discovery/flows").headers
    second = stack.add_backend(env={"CACHE_GROUPS": "1"})
    second.start()
    try:
        user = sign_in(second.url, "analyst@acme.test")
        groups = user.get("/discovery/flows").headers["cache-groups"].split(", ")
        assert f'"import:{import_id("acme", 3)}"' in groups
        # The context shows the caller's own flows only.
        own = user.get("/context/me").headers["cache-groups"].split(", ")
        assert f'"import:{import_id("acme", 0)}"' in own
        assert set(own) < set(groups)
    finally:
        second.stop()
