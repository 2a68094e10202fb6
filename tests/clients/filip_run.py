"""FiLiP's NGSI-LD client against a server, run in its own environment: `python filip_run.py URL TOKEN`."""

import logging
import sys

from filip.clients.ngsi_ld.cb import ContextBrokerLDClient
from filip.models.base import FiwareLDHeader
from filip.models.ngsi_ld.context import (
    ActionTypeLD,
    ContextGeoProperty,
    ContextLDEntity,
    ContextProperty,
    NamedContextGeoProperty,
    NamedContextProperty,
    NamedContextRelationship,
)
from filip.models.ngsi_ld.subscriptions import Endpoint, EntityInfo, NotificationParams, SubscriptionLD
from steps import Receiver, Steps

logging.disable(logging.CRITICAL)
CONTEXT = ["https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"]


def room(n, temperature=20.5, **more):
    """A room as their model builds it."""
    entity = ContextLDEntity(id=f"urn:ngsi-ld:Hall:{n}", type="Hall", **more)
    entity.add_properties([
        NamedContextProperty(name="temperature", value=temperature, unitCode="CEL", observedAt="2026-11-23T02:14:09Z"),
        NamedContextProperty(name="name", value=f"방 {n}"),
    ])  # fmt: skip
    entity.add_relationships([NamedContextRelationship(name="owner", object="urn:ngsi-ld:Organization:1")])
    place = ContextGeoProperty(type="GeoProperty", value={"type": "Point", "coordinates": [126.5 + n / 100, 33.4]})
    entity.add_geo_properties([NamedContextGeoProperty(name="location", **place.model_dump())])
    return entity


def main(url, token):
    """Every family of operations that the client offers."""
    steps, receiver = Steps(), Receiver()
    run = steps.run
    client = ContextBrokerLDClient(
        url=url, fiware_header=FiwareLDHeader(), headers={"Authorization": f"Bearer {token}"}
    )
    run("create", lambda: client.post_entity(room(1)))
    run("create with context", lambda: client.post_entity(room(2, context=CONTEXT)))
    run("create again", lambda: client.post_entity(room(1)))
    run("create or override", lambda: client.post_entity(room(1, 21.5), update=True))
    run("get", lambda: client.get_entity("urn:ngsi-ld:Hall:1").model_dump(exclude_none=True))
    run(
        "get key values",
        lambda: client.get_entity("urn:ngsi-ld:Hall:1", options="keyValues").model_dump(exclude_none=True),
    )
    run(
        "get attrs",
        lambda: sorted(client.get_entity("urn:ngsi-ld:Hall:1", attrs=["name"]).model_dump(exclude_none=True)),
    )
    run("get none", lambda: client.get_entity("urn:ngsi-ld:Hall:none"))
    batch = [room(n, n) for n in range(3, 131)]
    run("batch create", lambda: client.entity_batch_operation(entities=batch, action_type=ActionTypeLD.CREATE))
    run(
        "batch create again", lambda: client.entity_batch_operation(entities=batch[:2], action_type=ActionTypeLD.CREATE)
    )
    upserted = [room(3, 99.5), room(131, 131.0)]
    run(
        "batch upsert",
        lambda: client.entity_batch_operation(entities=upserted, action_type=ActionTypeLD.UPSERT, options="replace"),
    )
    updated = [room(4, 98.5), room(5, 97.5)]
    run("batch update", lambda: client.entity_batch_operation(entities=updated, action_type=ActionTypeLD.UPDATE))
    with_context = [room(6, 96.5, context=CONTEXT)]
    run(
        "batch update with context",
        lambda: client.entity_batch_operation(entities=with_context, action_type=ActionTypeLD.UPDATE),
    )
    small = ContextBrokerLDClient(
        url=url, fiware_header=FiwareLDHeader(), pagination_limit=50, headers={"Authorization": f"Bearer {token}"}
    )
    run("query", lambda: len(small.get_entity_list(entity_type="Hall")))
    run("query everything", lambda: len(small.get_entity_list()))
    run("query q", lambda: [e.id for e in client.get_entity_list(entity_type="Hall", q="temperature>130")])
    run(
        "query pattern",
        lambda: [
            e.id for e in client.get_entity_list(entity_type="Hall", id_pattern=".*:13[01]$", options="keyValues")
        ],
    )
    near = {"georel": "near;maxDistance==100", "geometry": "Point", "coordinates": "[126.51,33.4]"}
    run("query near", lambda: [e.id for e in client.get_entity_list(entity_type="Hall", **near)])
    run(
        "append",
        lambda: client.append_entity_attributes(
            ContextLDEntity(id="urn:ngsi-ld:Hall:1", type="Hall", seats=ContextProperty(value=12).model_dump())
        ),
    )
    run(
        "patch",
        lambda: client.replace_existing_attributes_of_entity(
            ContextLDEntity(id="urn:ngsi-ld:Hall:1", type="Hall", seats=ContextProperty(value=13).model_dump())
        ),
    )
    run("patched", lambda: client.get_entity("urn:ngsi-ld:Hall:1").seats)
    run(
        "update attribute",
        lambda: client.update_entity_attribute("urn:ngsi-ld:Hall:1", ContextProperty(value=22.5), "temperature"),
    )
    run(
        "updated attribute",
        lambda: client.get_entity("urn:ngsi-ld:Hall:1").model_dump(exclude_none=True)["temperature"],
    )
    run("delete attribute", lambda: client.delete_attribute("urn:ngsi-ld:Hall:1", "seats"))
    notification = NotificationParams(
        attributes=["temperature"], endpoint=Endpoint(uri=receiver.url, accept="application/json")
    )
    subscription = SubscriptionLD(
        id="urn:ngsi-ld:Subscription:halls", type="Subscription", entities=[EntityInfo(type="Hall")],
        watchedAttributes=["temperature"], notification=notification,
    )  # fmt: skip
    run("subscribe", lambda: client.post_subscription(subscription))
    run(
        "subscription",
        lambda: client.get_subscription("urn:ngsi-ld:Subscription:halls").model_dump(exclude_none=True)["entities"],
    )
    run("subscriptions", lambda: [s.id for s in client.get_subscription_list()])
    run(
        "change",
        lambda: client.update_entity_attribute("urn:ngsi-ld:Hall:1", ContextProperty(value=31.5), "temperature"),
    )
    run("notified", lambda: [[e["temperature"]["value"] for e in n["data"]] for n in receiver.wait()])
    subscription.description = "changed"
    run("update subscription", lambda: client.update_subscription(subscription))
    run("updated subscription", lambda: client.get_subscription("urn:ngsi-ld:Subscription:halls").description)
    run("unsubscribe", lambda: client.delete_subscription("urn:ngsi-ld:Subscription:halls"))
    run("delete", lambda: client.delete_entity_by_id("urn:ngsi-ld:Hall:1"))
    run("delete of type", lambda: client.delete_entity_by_id("urn:ngsi-ld:Hall:2", entity_type="Hall"))
    run(
        "batch delete",
        lambda: client.entity_batch_operation(entities=[*batch, room(131)], action_type=ActionTypeLD.DELETE),
    )
    run("left", lambda: len(client.get_entity_list(entity_type="Hall")))
    tenant = FiwareLDHeader(ngsild_tenant="filip")
    run(
        "tenant",
        lambda: (
            ContextBrokerLDClient(url=url, fiware_header=tenant, headers={"Authorization": f"Bearer {token}"})
            is not None
        ),
    )
    receiver.close()
    steps.print()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
