"""What the API and the record count, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

GAUGES = frozenset({"pending", "live_calls"})


class RecordCollector(Collector):
    """Reads ``RecordWriter.counts`` when it is asked: gauges and counters ``cordboard_records_…``."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        for name, value in sorted(self._counts().items()):
            full = f"cordboard_records_{name}"
            if name in GAUGES:
                yield GaugeMetricFamily(full, f"Record writer: {name}", value=value)
            else:
                yield CounterMetricFamily(full, f"Record writer: {name} since the start", value=value)


class SignallingCollector(Collector):
    """The tables of the signalling core, ``cordboard_sip_table_size``, and where we are registered."""

    def __init__(self, counts: Callable[[], Mapping[str, int]], registrations: Callable[[], Mapping[str, str]]) -> None:
        self._counts = counts
        self._registrations = registrations

    def collect(self) -> Iterable[Metric]:
        tables = GaugeMetricFamily("cordboard_sip_table_size", "Entries of a signalling table", labels=["table"])
        for name, value in sorted(self._counts().items()):
            tables.add_metric([name], value)
        yield tables
        registered = GaugeMetricFamily(
            "cordboard_sip_registered", "1 while registered at the gateway, else 0", labels=["gateway"]
        )
        for gateway, state in sorted(self._registrations().items()):
            registered.add_metric([gateway], 1 if state == "registered" else 0)
        yield registered


class RequestMetrics:
    """ASGI middleware: counts and times requests by route, never by path (paths hold ids, and strangers choose
    them)."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._count = Counter(
            "cordboard_http_requests_total", "HTTP requests", ("method", "route", "status"), registry=registry
        )
        self._time = Histogram(
            "cordboard_http_request_seconds", "Time to answer a request", ("route",), registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._count.labels(method, route, str(status)).inc()
            self._time.labels(route).observe(time.perf_counter() - began)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
