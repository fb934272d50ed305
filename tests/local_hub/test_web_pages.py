"""A web page that a person has open can ask a Hub on their machine anything: it gets nothing."""

import json

import pytest
from huggingface_hub.utils import get_session

ELSEWHERE = "https://evil.example"
CARD = json.dumps({"content": "---\nlicense: mit\n---\n"})


def ask(hub, method, path, **headers):
    given = {
        "Content-Type": "application/json",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    body = None if method == "GET" else CARD
    return get_session().request(method, f"{hub.endpoint}{path}", headers=given, content=body)


@pytest.mark.parametrize("origin", [ELSEWHERE, "null", "http://127.0.0.1:1", "http://localhost:80"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/models"), ("POST", "/api/validate-yaml")]
)
def test_a_page_of_another_address_gets_no_answer(hub, origin, method, path):
    answer = ask(hub, method, path, Origin=origin)
    assert answer.status_code == 403
    assert "does not answer web pages of other origins" in answer.json()["error"]
    assert "access-control-allow-origin" not in answer.headers


def test_a_client_and_a_page_of_the_hub_itself_are_answered(hub):
    assert ask(hub, "POST", "/api/validate-yaml").status_code == 200
    assert ask(hub, "POST", "/api/validate-yaml", Origin=hub.endpoint).status_code == 200
    by_link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(hub, "GET", "/api/models", **by_link).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_that_hides_its_address_changes_nothing(hub, site):
    assert ask(hub, "POST", "/api/validate-yaml", Sec_Fetch_Site=site).status_code == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
@pytest.mark.parametrize("path", ["/api/validate-yaml", "/oauth/token"])
def test_what_a_page_may_send_without_asking_is_no_json(hub, kind, path):
    answer = ask(hub, "POST", path, Content_Type=kind)
    assert answer.status_code == 415
    assert "must be sent as JSON" in answer.json()["error"]


def test_a_name_that_was_led_to_this_machine_is_no_name_of_the_hub(hub):
    port = hub.endpoint.rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "0.0.0.0"):
        assert ask(hub, "POST", "/api/validate-yaml", Host=host).status_code == 400
        # after DNS rebinding, a page's origin and the host that it asks are the same
        rebound = ask(hub, "POST", "/api/validate-yaml", Host=host, Origin=f"http://{host}")
        assert rebound.status_code in (400, 403)


@pytest.mark.parametrize("depth", [60, 2_500, 28_000])
def test_no_post_ends_the_process(hub, depth):
    opened, closed = "[" * depth, "]" * depth
    card = f"---\nx: {opened}{closed}\n---\n"
    session = get_session()
    answer = session.post(f"{hub.endpoint}/api/validate-yaml", json={"content": card})
    assert answer.status_code == 400
    assert "nested more than 50 deep" in answer.json()["errors"][0]["message"]
    for nested in (f'{{"content": {opened}{closed}}}', '{"x":' * depth + "0" + "}" * depth, opened):
        answer = session.post(
            f"{hub.endpoint}/api/validate-yaml",
            content=nested,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400
    assert session.get(f"{hub.endpoint}/api/models").status_code == 200
