"""Keys and organizations over HTTP: made once, shown once, rotated with an overlap, revoked."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Api

from podium.authoring import keys
from podium.core.access import is_intact
from podium.errors import NotFoundError
from podium.server.description import describe

UNKNOWN = "key_0000000000"


async def create(api: Api, **wish: Any) -> Any:
    """Make a key and return what the service says of it."""
    answer = await api.post("/v1/keys", json={"role": "viewer"} | wish)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def opened(api: Api) -> Api:
    """Let everything that follows come from an administrator with a key."""
    made = await api.app.keys.create("admin", name="ada")
    api.client.headers["Authorization"] = f"Bearer {made.key}"
    return api


def lifetime(made: Any) -> timedelta:
    return datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])


async def test_a_key_is_shown_once_and_never_again(api: Api):
    await opened(api)
    made = await create(api, role="operator", name="ci")
    assert is_intact(made["key"])
    assert (made["role"], made["name"], made["status"]) == ("operator", "ci", "active")
    assert made["created_by"] == "ada"
    shown = (await api.get(f"/v1/keys/{made['key_id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "key"}
    for path in ("/v1/keys", f"/v1/keys/{made['key_id']}", "/v1/audit"):
        assert made["key"][8:] not in (await api.get(path)).text


async def test_the_store_holds_no_key(api: Api):
    await opened(api)
    made = await create(api)
    held = bytes_of(Path(api.settings.database_url.removeprefix("sqlite:///")))
    assert made["key_id"].encode() in held
    assert made["key"][8:].encode() not in held


def bytes_of(path: Path) -> bytes:
    return b"".join(
        each.read_bytes() for each in path.parent.glob(path.name + "*") if each.is_file()
    )


async def test_a_key_expires_after_ninety_days_unless_it_says_otherwise(api: Api):
    await opened(api)
    assert lifetime(await create(api)) == timedelta(days=90)
    assert lifetime(await create(api, expires_in="12h")) == timedelta(hours=12)
    assert lifetime(await create(api, expires_in=60)) == timedelta(minutes=1)
    assert (await create(api, expires_in="never"))["expires_at"] is None


async def test_a_key_opens_what_its_role_says_until_it_is_revoked(api: Api):
    await opened(api)
    made = await create(api)
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await api.get("/v1/runs", headers=headers)).status_code == 200
    revoked = await api.post(f"/v1/keys/{made['key_id']}/revoke")
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert revoked.json()["revoked_by"] == "ada"
    assert (await api.get("/v1/runs", headers=headers)).json()["code"] == "revoked_key"


async def test_revoking_twice_is_harmless(api: Api):
    await opened(api)
    path = f"/v1/keys/{(await create(api))['key_id']}/revoke"
    first, again = [(await api.post(path)).json() for _ in range(2)]
    assert first == again
    actions = [row["action"] for row in (await api.get("/v1/audit")).json()["items"]]
    assert actions.count("key.revoke") == 1


async def test_both_keys_of_a_rotation_work_and_the_old_one_has_an_end(api: Api):
    await opened(api)
    old = await create(api, role="operator", name="ci", expires_in="30d")
    new = (await api.post(f"/v1/keys/{old['key_id']}/rotate", json={"overlap": "1h"})).json()
    assert (new["role"], new["name"]) == ("operator", "ci")
    assert lifetime(new) == timedelta(days=30)
    for key in (old["key"], new["key"]):
        headers = {"Authorization": f"Bearer {key}"}
        assert (await api.get("/v1/runs", headers=headers)).status_code == 200
    shown = (await api.get(f"/v1/keys/{old['key_id']}")).json()
    assert shown["successor"] == new["key_id"]
    assert lifetime(shown) < timedelta(hours=2)


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(api: Api):
    await opened(api)
    old = await create(api)
    await api.post(f"/v1/keys/{old['key_id']}/rotate", json={"overlap": 0})
    headers = {"Authorization": f"Bearer {old['key']}"}
    assert (await api.get("/v1/runs", headers=headers)).json()["code"] == "expired_key"


async def test_a_key_is_rotated_once_and_says_to_what(api: Api):
    await opened(api)
    path = f"/v1/keys/{(await create(api))['key_id']}/rotate"
    new = (await api.post(path)).json()
    again = await api.post(path)
    assert again.status_code == 409
    assert new["key_id"] in again.json()["why"]


async def test_a_revoked_key_is_not_rotated(api: Api):
    await opened(api)
    key_id = (await create(api))["key_id"]
    await api.post(f"/v1/keys/{key_id}/revoke")
    answer = await api.post(f"/v1/keys/{key_id}/rotate")
    assert (answer.status_code, answer.json()["state"]) == (409, "revoked")


async def test_lists_come_a_page_at_a_time(api: Api):
    await opened(api)
    made = {(await create(api))["key_id"] for _ in range(5)}
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.get(f"/v1/keys?limit=2&cursor={cursor}")).json()
        found += [row["key_id"] for row in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == sorted(found)
    assert made < set(found)


WRONG: list[dict[str, Any]] = [
    {},
    {"role": "king"},
    {"role": "viewer", "expires_in": "soon"},
    {"role": "viewer", "expires_in": "-1d"},
    {"role": "viewer", "expires_in": "100000d"},
    {"role": "viewer", "expires_in": True},
    {"role": "viewer", "name": "a\nb"},
    {"role": "viewer", "name": "a" * 201},
    {"role": "viewer", "organization": "acme"},
]


async def test_a_wish_that_makes_no_sense_makes_no_key(api: Api):
    await opened(api)
    for wish in WRONG:
        answer = await api.post("/v1/keys", json=wish)
        assert answer.status_code in {400, 422}, (wish, answer.text)
    assert len(await api.app.keys.list()) == 1


async def test_an_unknown_key_is_a_404(api: Api):
    await opened(api)
    for method, path in (("GET", ""), ("POST", "/rotate"), ("POST", "/revoke")):
        answer = await api.client.request(method, f"/v1/keys/{UNKNOWN}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_organization_has_a_bounded_number_of_keys(
    api: Api, monkeypatch: pytest.MonkeyPatch
):
    await opened(api)
    monkeypatch.setattr(keys, "KEYS_MAX", 3)
    made = [await create(api) for _ in range(2)]
    refused = await api.post("/v1/keys", json={"role": "viewer"})
    assert (refused.status_code, refused.json()["podium_code"]) == (409, "PDM-C042")
    await api.post(f"/v1/keys/{made[0]['key_id']}/revoke")
    await create(api)


async def test_two_callers_have_two_names(api: Api):
    """Whoever approves must not be whoever asked: names are what tells them apart."""
    await opened(api)
    made = await create(api, name="ci")
    refused = await api.post("/v1/keys", json={"role": "viewer", "name": "ci"})
    assert (refused.status_code, refused.json()["podium_code"]) == (409, "PDM-C043")
    assert made["key_id"] in refused.json()["detail"]
    unnamed = {(await create(api))["name"] for _ in range(3)}
    assert len(unnamed) == 3
    await api.post(f"/v1/keys/{made['key_id']}/revoke")
    await create(api, name="ci")


# --- organizations ------------------------------------------------------------------------------


async def test_an_organization_is_made_once(api: Api):
    await opened(api)
    wish = {"slug": "acme", "title": "Acme Labs"}
    made = await api.post("/v1/organizations", json=wish)
    assert made.status_code == 201
    assert (await api.get("/v1/organizations/acme")).json() == made.json()
    again = await api.post("/v1/organizations", json=wish)
    assert (again.status_code, again.json()["podium_code"]) == (409, "PDM-C040")


async def test_the_organization_of_the_server_exists_and_cannot_be_made(api: Api):
    await opened(api)
    assert (await api.get("/v1/organizations/default")).status_code == 200
    answer = await api.post("/v1/organizations", json={"slug": "default"})
    assert answer.status_code == 409


async def test_a_slug_that_cannot_be_one_is_refused(api: Api):
    await opened(api)
    for slug in ("", "A", "a b", "-a", "a/b", "../a", "ü", "a" * 64, "a\x00"):
        answer = await api.post("/v1/organizations", json={"slug": slug})
        assert answer.status_code in {400, 422}, slug
    assert len(await api.app.organizations.list()) == 1


async def test_a_key_of_an_organization_that_nobody_made_is_refused(api: Api):
    with pytest.raises(NotFoundError) as caught:
        await api.app.keys.create("viewer", organization="acmee")
    assert caught.value.code == "PDM-R413"


def test_the_description_of_keys_has_examples():
    described = describe(("keys", "organizations", "audit"))
    body = described["paths"]["/v1/keys"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["role"] == "operator"
