"""The composition root: puts the rooms together, starts them in order, drains and stops them in reverse."""

from .commands import SERVED_TRANSPORTS, person, run_demo, run_lab, run_server, serve_http
from .node import Server
from .parts import configure_log, open_media, user_agent

__all__ = [
    "SERVED_TRANSPORTS",
    "Server",
    "configure_log",
    "open_media",
    "person",
    "run_demo",
    "run_lab",
    "run_server",
    "serve_http",
    "user_agent",
]
