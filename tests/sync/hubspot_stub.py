"""HubSpot's contacts, as far as a sync sees them: a server that keeps what it is sent.

Written from the public documentation (developers.hubspot.com): "Contacts", "Properties", "Error
handling" and "API usage guidelines". What it holds a client to:

- a batch has at most 100 inputs, and no two of them are of one contact;
- values are strings, and their properties exist;
- an address belongs to one contact, and looks like one;
- rows that carry an `objectWriteTraceId` fail one by one (207); without it one stops the batch;
- above the limit of requests in a window it answers 429 and says in `Retry-After` how long to wait.
"""

from __future__ import annotations

import collections
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BATCH_LIMIT = 100
CONTACTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"
MOMENT = "2026-01-01T00:00:00Z"


class RefusedError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, category: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"status": "error", "category": category, "message": message}


class HubSpotStub:
    """The server and what it knows.

    Attributes
    ----------
    contacts
        Properties by the contact's number.
    statuses
        How often it has answered with which status.
    limit, window_seconds
        Requests that are let through in so many seconds. HubSpot's own figures for private apps are
        190 in 10 seconds.
    outage
        `None`; `"refuse"`: answer 503; `"forget to answer"`: do what is asked and hang up, once.
    """

    def __init__(
        self, token: str = "a-token", limit: int = 190, window_seconds: float = 10
    ) -> None:
        self.token = token
        self.limit = limit
        self.window_seconds = window_seconds
        self.contacts: dict[str, dict[str, str]] = {}
        self.properties: dict[str, dict[str, Any]] = {"email": {"hasUniqueValue": True}}
        self.statuses: collections.Counter[int] = collections.Counter()
        self.batch_sizes: list[int] = []
        self.outage: str | None = None
        self._let_through: collections.deque[float] = collections.deque()
        self._last_number = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def find(self, property_name: str, value: str) -> str | None:
        """Return the number of the contact that has the value."""
        for number, values in self.contacts.items():
            if values.get(property_name) == value:
                return number
        return None

    def _wait(self) -> float:
        """Return how many seconds to wait; 0 lets the request through."""
        now = time.monotonic()
        while self._let_through and now - self._let_through[0] >= self.window_seconds:
            self._let_through.popleft()
        if len(self._let_through) >= self.limit:
            return self.window_seconds - (now - self._let_through[0])
        self._let_through.append(now)
        return 0

    def _write(self, given: dict[str, Any]) -> dict[str, Any]:
        id_property, identity = given.get("idProperty"), given["id"]
        values = given["properties"]
        if not self.properties.get(id_property, {}).get("hasUniqueValue"):
            raise RefusedError(400, "VALIDATION_ERROR", f"{id_property} has no unique values")
        for name, value in values.items():
            if not isinstance(value, str):
                raise RefusedError(400, "VALIDATION_ERROR", f"{name} is no string: {value!r}")
            if name not in self.properties:
                raise RefusedError(400, "VALIDATION_ERROR", f'Property "{name}" does not exist')
        email = values.get("email")
        if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise RefusedError(400, "VALIDATION_ERROR", f"Email address {email} is invalid")
        number = self.find(id_property, identity)
        owner = self.find("email", email) if email else None
        if owner not in {None, number}:
            raise RefusedError(409, "CONFLICT", f"Contact already exists. Existing ID: {owner}")
        new = number is None
        if new:
            self._last_number += 1
            number = str(self._last_number)
            self.contacts[number] = {id_property: identity}
        self.contacts[number].update(values)
        return {
            "id": number,
            "new": new,
            "properties": self.contacts[number],
            "createdAt": MOMENT,
            "updatedAt": MOMENT,
            "archived": False,
        }

    def _upsert(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        inputs = body["inputs"]
        self.batch_sizes.append(len(inputs))
        if len(inputs) > BATCH_LIMIT:
            raise RefusedError(400, "VALIDATION_ERROR", f"{len(inputs)} inputs are more than 100")
        if len({given["id"] for given in inputs}) < len(inputs):
            raise RefusedError(400, "VALIDATION_ERROR", "Duplicate IDs found in batch input")
        results, errors = [], []
        for given in inputs:
            try:
                results.append(self._write(given))
            except RefusedError as refused:
                trace = given.get("objectWriteTraceId")
                if trace is None:
                    raise
                errors.append({**refused.body, "context": {"objectWriteTraceId": [trace]}})
        answer: dict[str, Any] = {
            "status": "COMPLETE",
            "results": results,
            "startedAt": MOMENT,
            "completedAt": MOMENT,
        }
        if errors:
            return 207, {**answer, "numErrors": len(errors), "errors": errors}
        return 200, answer

    def _erase(self, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        number = self.find(body.get("idProperty") or "hs_object_id", body["objectId"])
        if number is None:
            raise RefusedError(404, "OBJECT_NOT_FOUND", "resource not found")
        del self.contacts[number]
        return 204, None

    def answer(
        self, method: str, path: str, headers: Any, body: Any
    ) -> tuple[int, dict[str, Any] | None, dict[str, str]]:
        """Return status, body and headers of an answer."""
        if headers.get("Authorization") != f"Bearer {self.token}":
            raise RefusedError(
                401, "INVALID_AUTHENTICATION", "Authentication credentials not found"
            )
        if self.outage == "refuse":
            raise RefusedError(503, "SERVICE_UNAVAILABLE", "out of order")
        wait = self._wait()
        if wait:
            limited = {
                "status": "error",
                "message": "You have reached your ten_secondly_rolling limit.",
                "errorType": "RATE_LIMIT",
                "policyName": "TEN_SECONDLY_ROLLING",
            }
            # Whole seconds, rounded up.
            return 429, limited, {"Retry-After": str(int(wait) + 1)}
        path = path.partition("?")[0]
        if (method, path) == ("GET", PROPERTIES):
            known = [{"name": name, **rest} for name, rest in self.properties.items()]
            return 200, {"results": [_property(found) for found in known]}, {}
        if (method, path) == ("POST", PROPERTIES):
            if body["name"] in self.properties:
                raise RefusedError(409, "CONFLICT", f"A property named {body['name']} exists")
            self.properties[body["name"]] = body
            return 201, _property(body), {}
        if (method, path) == ("POST", f"{CONTACTS}/batch/upsert"):
            return *self._upsert(body), {}
        if (method, path) == ("POST", f"{CONTACTS}/gdpr-delete"):
            return *self._erase(body), {}
        raise RefusedError(404, "NOT_FOUND", f"no {method} {path} here")

    def _handler(stub) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                headers: dict[str, str] = {}
                with stub._lock:
                    try:
                        status, answer, headers = stub.answer(
                            self.command, self.path, self.headers, body
                        )
                    except RefusedError as refused:
                        status, answer = refused.status, refused.body
                    stub.statuses[status] += 1
                    if stub.outage == "forget to answer" and self.path.endswith("/upsert"):
                        stub.outage = None
                        self.close_connection = True
                        self.connection.close()
                        return
                content = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _handle  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _property(given: dict[str, Any]) -> dict[str, Any]:
    """Return a property with all that HubSpot tells of one."""
    return {
        "name": given["name"],
        "label": given.get("label", given["name"]),
        "groupName": given.get("groupName", "contactinformation"),
        "type": given.get("type", "string"),
        "fieldType": given.get("fieldType", "text"),
        "description": "",
        "options": [],
        "hasUniqueValue": bool(given.get("hasUniqueValue")),
    }
