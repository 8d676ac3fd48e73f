"""The signalling of a node as the settings want it: endpoint configuration, TLS, limits of streams."""

from __future__ import annotations

import asyncio

from cordboard.calls.admission import AccessControl
from cordboard.settings import SipSettings, TimeoutSettings
from cordboard.sip.config import EndpointConfig, TimerSettings
from cordboard.sip.flow import Flow
from cordboard.sip.transport import address_class
from cordboard.wire import StreamLimits, TlsContexts, TlsFiles


def endpoint_config(sip: SipSettings, timeouts: TimeoutSettings, access: AccessControl | None) -> EndpointConfig:
    """``access`` None: everybody may call and refer, as the people of the lab let one."""
    config = EndpointConfig(
        user_agent=sip.user_agent,
        contact_user=sip.contact_user,
        external_address=sip.external_address,
        internal=is_internal,
        timers=TimerSettings(sip.t1, sip.t2, sip.t4),
        ring_timeout=timeouts.ring + 60,
        answer_timeout=timeouts.offer_answer,
        refer_timeout=timeouts.refer_report + 30,
        session_expires=int(sip.session_expires),
        minimum_session_expires=int(sip.minimum_session_expires),
        retry_after=int(sip.retry_after),
        maximum_sessions=sip.max_calls * 4,
        maximum_transactions=sip.max_transactions,
        maximum_message=sip.max_message,
        maximum_connections=sip.max_connections,
        maximum_redirects=sip.max_redirects,
        dead_target_time=timeouts.dead_target,
        resolution_timeout=timeouts.dns,
        stream_over=sip.stream_over,
        stream_idle=timeouts.stream_idle,
        stream_slow=timeouts.stream_message,
        keep_alive=timeouts.keep_alive,
        pong_timeout=timeouts.pong,
        realm=sip.realm,
        nonce_lifetime=timeouts.nonce,
        source_header=sip.source_header,
        registrar=sip.registrar,
    )
    if sip.registrar:
        config.allow = (*config.allow, "REGISTER")
    if access is None:
        config.accept_refer = _everybody
        return config
    config.admit = access
    config.within_rate = access.within_rate
    config.accept_refer = access.accept_refer
    config.challenge = access.challenge
    config.may_replace = access.may_replace
    config.known_host = access.known_host
    config.trusted_proxy = access.trusted_proxy if sip.trusted_proxies else None
    return config


def is_internal(host: str) -> bool:
    """On our side of the NAT, where the external address is not needed: loopback, links and private networks."""
    return address_class(host) != "public"


def stream_limits(sip: SipSettings, timeouts: TimeoutSettings) -> StreamLimits:
    return StreamLimits(timeouts.connect, timeouts.tls_handshake, sip.max_connections_per_source)


def tls_contexts(sip: SipSettings) -> TlsContexts:
    """Raises `wire.TlsError` naming the file that cannot be used."""
    return TlsContexts(
        TlsFiles(
            sip.tls_certificate,
            sip.tls_key,
            sip.tls_ca,
            sip.tls_client_certificate,
            sip.tls_client_key,
            sip.tls_peers,
        )
    )


async def keep_certificates(contexts: TlsContexts, interval: float) -> None:
    """Take changed files for ever, looked at every ``interval`` seconds; what is up keeps what it began with."""
    while True:
        await asyncio.sleep(interval)
        contexts.reload_if_changed()


def _everybody(flow: Flow) -> bool:
    return True
