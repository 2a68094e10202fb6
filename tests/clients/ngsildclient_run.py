"""ngsildclient against a server, run in its own environment: `python ngsildclient_run.py PORT TOKEN`."""

import logging
import sys
from datetime import datetime, timedelta

from ngsildclient import Client, Entity, SubscriptionBuilder
from ngsildclient.api.constants import AggrMethod
from ngsildclient.api.helper.temporal import TemporalQuery
from requests.auth import AuthBase
from steps import Receiver, Steps

logging.disable(logging.CRITICAL)
CONTEXT = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"


class Bearer(AuthBase):
    """Their way to log in with a token."""

    def __init__(self, token):
        self.token = token

    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def room(n, temperature=20.5):
    """A room as their model builds it."""
    entity = Entity("Room", f"Room:{n}", ctx=[CONTEXT])
    at = datetime(2026, 11, 23, 2, 14, 9)  # noqa: DTZ001 - their model takes an instant without a zone, as UTC
    entity.prop("temperature", temperature, unitcode="CEL", observedat=at)
    entity.prop("name", f"방 {n}")
    entity.gprop("location", (33.4, 126.5 + n / 100))
    entity.rel("owner", "Organization:1")
    return entity


def main(port, token):
    """Every family of operations that the client offers."""
    steps, receiver = Steps(), Receiver()
    client = steps.run("connect", lambda: Client("127.0.0.1", port, custom_auth=Bearer(token), verbose=False))
    steps.results["connect"] = client is not None or steps.results["connect"]
    plain = steps.run
    plain("broker", lambda: str(client.broker.vendor))
    plain("create", lambda: client.create(room(1)))
    plain("create again", lambda: client.create(room(1)))
    plain("exists", lambda: client.exists("Room:1"))
    plain("exists not", lambda: client.exists("Room:none"))
    plain("get", lambda: client.get("Room:1").to_dict())
    plain("get same", lambda: client.get("Room:1").to_dict() | {"@context": 0} == room(1).to_dict() | {"@context": 0})
    plain("get none", lambda: client.get("Room:none"))
    plain("upsert", lambda: client.upsert(room(1, 21.5)))
    plain("upserted", lambda: client.get("Room:1")["temperature"]["value"])
    plain("update", lambda: client.update(room(1, 22.5)))
    plain("updated", lambda: client.get("Room:1")["temperature"]["value"])
    plain("batch create", lambda: repr(client.create([room(n) for n in range(2, 130)])))
    plain("batch create again", lambda: repr(client.batch.create([room(2), room(500)])))
    plain("batch upsert", lambda: repr(client.upsert([room(n, n) for n in range(2, 130)])))
    plain("batch update", lambda: repr(client.update([room(2, 99.0), room(3, 98.0)])))
    plain("count", lambda: client.count("Room"))
    plain("count q", lambda: client.count("Room", "temperature>90"))
    plain("query", lambda: len(client.query("Room")))
    plain("query q", lambda: [e.id for e in client.query("Room", "temperature>97")])
    plain("query head", lambda: [e.id for e in client.query_head("Room", n=2)])
    body = {"type": "Query", "entities": [{"type": "Room"}], "q": "temperature>97"}
    plain("alt query", lambda: [e.id for e in client.alt.query_head(body)])
    plain("alt count", lambda: client.alt.count(body))
    plain("types", lambda: client.types.list())
    subscription = (
        SubscriptionBuilder(receiver.url).select_type("Room").watch(["temperature"]).description("rooms").build()
    )
    id_ = plain("subscribe", lambda: client.subscriptions.create(subscription))
    steps.results["subscribe"] = id_ is not None or steps.results["subscribe"]
    plain("subscription", lambda: client.subscriptions.get(id_)["entities"])
    plain("subscriptions", lambda: [s["description"] for s in client.subscriptions.list("room")])
    plain("subscribe again", lambda: client.subscriptions.create(subscription))
    plain("change", lambda: repr(client.update([room(3, 31.0), room(3, 32.0)])))
    plain("notified", lambda: [(n["type"], [e["temperature"]["value"] for e in n["data"]]) for n in receiver.wait()])
    plain("unsubscribe", lambda: client.subscriptions.delete("room"))
    plain("temporal get", lambda: client.temporal.get("Room:1", ["temperature"]))
    plain(
        "temporal get verbose",
        lambda: [v["value"] for v in client.temporal.get("Room:1", ["temperature"], verbose=True)["temperature"]],
    )
    query = TemporalQuery().between("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z")
    plain(
        "temporal query",
        lambda: [t["id"] for t in client.temporal.query(type="Room", attrs=["temperature"], tq=query)][:2],
    )
    methods = [AggrMethod.MAXIMUM, AggrMethod.TOTAL_COUNT]
    plain(
        "temporal aggregate",
        lambda: client.temporal.aggregate(
            type="Room", attrs=["temperature"], tq=query, methods=methods, period=timedelta(days=1)
        ).result[0],
    )
    plain("context add", lambda: client.contexts.add({"@context": {"speed": "https://example.org/speed"}}))
    plain("contexts", lambda: len(client.contexts.list()) > 0)
    plain("delete", lambda: client.delete(room(1)))
    plain("deleted", lambda: client.exists("Room:1"))
    plain("batch delete", lambda: repr(client.delete([room(2), room(3)])))
    plain("drop", lambda: client.drop("Room"))
    plain("dropped", lambda: client.count("Room"))
    receiver.close()
    steps.print()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
