"""A dlt destination that keeps HubSpot's contacts as the CRM mart says, 100 a call.

A contact is found by a property of its own, `coterie_customer_id`, since an address may change or
be missing. HubSpot's client waits and tries again when told to (429 with `Retry-After`) or when
HubSpot is out of order.
"""

from __future__ import annotations

from typing import Any

import dlt
from hubspot import HubSpot
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInputUpsert,
    PublicGdprDeleteInput,
    SimplePublicObjectBatchInputUpsert,
)
from hubspot.crm.properties import PropertyCreate
from outcomes import Outcomes
from urllib3.util.retry import Retry

BATCH_SIZE = 100
ID = "coterie_customer_id"
PROPERTIES = {
    "coterie_segment": "segment_name",
    "coterie_rfm_segment": "rfm_segment_code",
    "coterie_value_band": "value_band",
    "coterie_purchase_band": "purchase_band",
    "coterie_churn_band": "churn_band",
    "coterie_order_count_band": "order_count_band",
    "coterie_top_interest": "top_interest",
    "coterie_last_ordered_on": "last_ordered_on",
    "coterie_audiences": "audiences",
}


def connect(token: str, host: str) -> HubSpot:
    """Return the official client, which also repeats a POST: an upsert may come twice."""
    retry = Retry(
        total=4,
        backoff_factor=0.5,
        status_forcelist=[429, 500, 502, 503, 504],
        allowed_methods=None,
        respect_retry_after_header=True,
    )
    return HubSpot(access_token=token, host=host, retry=retry)


def create_properties(client: HubSpot) -> None:
    """Create the contact properties that are not there yet."""
    present = {found.name for found in client.crm.properties.core_api.get_all("contacts").results}
    for name in [ID, *PROPERTIES]:
        if name not in present:
            client.crm.properties.core_api.create(
                "contacts",
                PropertyCreate(
                    name=name,
                    label=name.replace("_", " ").capitalize(),
                    group_name="contactinformation",
                    type="string",
                    field_type="text",
                    has_unique_value=name == ID,
                ),
            )


def contact(row: dict[str, Any]) -> SimplePublicObjectBatchInputUpsert:
    """Return a row as HubSpot takes it: values are strings, and an empty one clears."""
    values = {name: row.get(column) for name, column in PROPERTIES.items()}
    return SimplePublicObjectBatchInputUpsert(
        id=row["customer_id"],
        id_property=ID,
        # Comes back with the error of a row that HubSpot refuses.
        object_write_trace_id=row["customer_id"],
        properties={
            name: "" if value is None else str(value)
            for name, value in {"email": row.get("email"), **values}.items()
        },
    )


def hubspot_destination(outcomes: Outcomes) -> Any:
    """Return the destination. Its settings are `token` and, for tests, `host`."""

    @dlt.destination(
        name="hubspot", batch_size=BATCH_SIZE, loader_parallelism_strategy="sequential"
    )
    def hubspot(
        items: list[dict[str, Any]],
        table: dict[str, Any],
        token: str = dlt.secrets.value,
        host: str = "https://api.hubapi.com",
    ) -> None:
        client = connect(token, host)
        create_properties(client)
        for row in items:
            if row["is_deleted"]:
                erased = PublicGdprDeleteInput(object_id=row["customer_id"], id_property=ID)
                try:
                    client.crm.contacts.basic_api.purge(erased)
                    outcomes.add("erased", row["customer_id"])
                except ApiException as error:
                    if error.status != 404:
                        raise
                    outcomes.add("unchanged", row["customer_id"])
        inputs = [contact(row) for row in items if not row["is_deleted"]]
        if not inputs:
            return
        answer = client.crm.contacts.batch_api.upsert(
            BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)
        )
        for written in answer.results:
            outcome = "created" if written.new else "updated"
            outcomes.add(outcome, written.properties[ID])
        for error in getattr(answer, "errors", None) or []:
            for customer_id in error.context["objectWriteTraceId"]:
                outcomes.add("refused", customer_id, error.message)

    return hubspot()
