"""A server that is reached over rest, websocket and mqtt, each road through a relay of its own, for
the scripts that break them one by one.
"""

from harness import free_port

ROADS = ["rest", "websocket", "mqtt"]


def listen_on_all(server, broker, client_id="SERVER1"):
    """Beside that for HTTP, which every node has; returns the port for each road."""
    sockets = free_port()
    server.config["instances"] += [
        {"name": "sockets", "plugin": "websocket",
         "config": {"role": "server", "listen": f"127.0.0.1:{sockets}"}},
        {"name": "topics", "plugin": "mqtt",
         "config": {"role": "server", "broker_url": f"127.0.0.1:{broker.port}",
                    "client_id": client_id}}]
    server.write_config()
    return {"rest": server.http_port, "websocket": sockets, "mqtt": broker.port}


def road_to(kind, port, client_id, host="127.0.0.1", **more):
    """The configuration of an instance `kind`."""
    address = {"rest": {"base_url": f"http://{host}:{port}"},
               "websocket": {"server_url": f"ws://{host}:{port}"},
               "mqtt": {"broker_url": f"{host}:{port}", "client_id": client_id}}[kind]
    return {"name": kind, "plugin": kind, "config": {"role": "client", **address, **more}}


def add_roads(trial, server, edge, broker, roads):
    """`roads`: kind -> options. The edge has these instead of its uplink; returns their relays."""
    ports = listen_on_all(server, broker)
    relays = {kind: trial.relay(ports[kind]) for kind in roads}
    edge.config["instances"].pop()
    for kind, options in roads.items():
        edge.config["instances"].append(
            road_to(kind, relays[kind].port, edge.config["node"]["id"], **options))
    edge.write_config()
    return relays
