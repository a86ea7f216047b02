"""A dlt destination that keeps Tryton's parties as the CRM mart says.

A party has the customer's id as its code. Segment and audiences are categories under `Coterie`, and
the email address is the contact mechanism called `Coterie`: all else of a party belongs to those
who work with the CRM. Only an erased customer's party loses everything but its code, and is
deactivated.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import dlt
import requests
from outcomes import Outcomes

OURS = "Coterie"
FIELDS = ["code", "name", "active", "categories.name", "categories.parent.name", "addresses.id"]
FIELDS += ["contact_mechanisms.name", "contact_mechanisms.value"]


def _encoded(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode()


class Tryton:
    """The few calls of Tryton's REST interface that are needed here."""

    def __init__(self, url: str, key: str) -> None:
        self.url = f"{url}/rest/model"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        # Deactivated parties are found, too, so that none is made twice.
        self.session.headers["X-Tryton-Context"] = _encoded({"active_test": False})

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Return what Tryton answers; raise HTTPError with its words."""
        answer = self.session.request(method, f"{self.url}/{path}", timeout=60, **options)
        if answer.status_code >= 400:
            raise requests.HTTPError(answer.text, response=answer)
        return answer.json() if answer.content else None

    def search(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        """Return the records of a domain."""
        return self.call("GET", model, params={"d": _encoded(domain), "f": fields})


class Categories(dict[str, int]):
    """Ids of our categories by name; a name that is asked for and missing is created."""

    def __init__(self, tryton: Tryton) -> None:
        self.tryton = tryton
        ours = [["parent", "=", None], ["name", "=", OURS]]
        found = tryton.search("party.category", ours, ["name"])
        root = found[0] if found else tryton.call("POST", "party.category", json={"name": OURS})
        self.root = root["id"]
        children = tryton.search("party.category", [["parent", "=", self.root]], ["name"])
        super().__init__({child["name"]: child["id"] for child in children})

    def __missing__(self, name: str) -> int:
        category = {"name": name, "parent": self.root}
        self[name] = self.tryton.call("POST", "party.category", json=category)["id"]
        return self[name]


def changes(row: dict[str, Any], party: dict[str, Any], categories: Categories) -> dict[str, Any]:
    """Return what must be written into a party so that it says what the row says."""
    erased = row["is_deleted"]
    names = [row.get("segment_name"), *(row.get("audiences") or "").split(",")]
    wanted = set() if erased else {categories[name.strip()] for name in names if name}
    theirs = party.get("categories") or []
    present = {c["id"] for c in theirs if erased or (c.get("parent") or {}).get("name") == OURS}
    mechanisms = party.get("contact_mechanisms") or []
    ours = [m for m in mechanisms if erased or m["name"] == OURS]
    email = None if erased else row.get("email")

    written: dict[str, Any] = {}
    if party.get("active", True) == erased:
        written["active"] = not erased
    if erased and party["name"] != party["code"]:
        written["name"] = party["code"]
    if erased and party.get("addresses"):
        written["addresses"] = [["delete", [address["id"] for address in party["addresses"]]]]
    pairs = [["add", sorted(wanted - present)], ["remove", sorted(present - wanted)]]
    if any(ids for _, ids in pairs):
        written["categories"] = [pair for pair in pairs if pair[1]]
    if ours and not email:
        written["contact_mechanisms"] = [["delete", [m["id"] for m in ours]]]
    elif ours and ours[0]["value"] != email:
        written["contact_mechanisms"] = [["write", [ours[0]["id"]], {"value": email}]]
    elif email and not ours:
        created = {"type": "email", "value": email, "name": OURS}
        written["contact_mechanisms"] = [["create", [created]]]
    return written


def tryton_destination(outcomes: Outcomes) -> Any:
    """Return the destination. Its settings are `url` (with the database's name) and `key`."""

    @dlt.destination(name="tryton", batch_size=50, loader_parallelism_strategy="sequential")
    def tryton(
        items: list[dict[str, Any]],
        table: dict[str, Any],
        url: str = dlt.config.value,
        key: str = dlt.secrets.value,
    ) -> None:
        crm = Tryton(url, key)
        categories = Categories(crm)
        codes = [row["customer_id"] for row in items]
        found = crm.search("party.party", [["code", "in", codes]], FIELDS)
        parties = {party["code"]: party for party in found}
        for row in items:
            code = row["customer_id"]
            party = parties.get(code)
            new = {"code": code, "name": code}
            try:
                if party:
                    written = changes(row, party, categories)
                    if written:
                        crm.call("PUT", f"party.party/{party['id']}", json=written)
                    outcome = "updated" if written else "unchanged"
                    outcome = "erased" if written and row["is_deleted"] else outcome
                elif row["is_deleted"]:
                    outcome = "unchanged"
                else:
                    written = new | changes(row, new, categories)
                    crm.call("POST", "party.party", json=written)
                    outcome = "created"
            except requests.HTTPError as error:
                # What Tryton finds wrong with a row stops that row; a fault of Tryton, the run.
                if error.response.status_code != 400:
                    raise
                outcomes.add("refused", code, str(error))
            else:
                outcomes.add(outcome, code)

    return tryton()
