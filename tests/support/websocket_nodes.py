"""Nodes that speak through the websocket plugin, for the scripts that need them."""

from harness import free_port


def add_listener(server, name="sockets", **config):
    """The node listens for websockets too; returns the port."""
    port = free_port()
    server.config["instances"].append({
        "name": name, "plugin": "websocket",
        "config": {"role": "server", "listen": f"127.0.0.1:{port}", **config}})
    server.write_config()
    return port


def use_road(edge, url, **config):
    """The edge's road is a websocket instead of what it was."""
    edge.config["instances"][-1] = {"name": "uplink", "plugin": "websocket",
                                    "config": {"role": "client", "server_url": url, **config}}
    edge.write_config()
