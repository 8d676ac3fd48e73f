"""Settings: one table, read from defaults, then a YAML file, then the environment.

``CORDBOARD_SIP__LISTEN=udp://0.0.0.0:5060,udp://0.0.0.0:32681`` sets ``sip.listen``: a section and its setting are
joined by ``__``, lists are comma-separated or JSON. Times are seconds; ``100ms``, ``30s``, ``5m`` and ``2h`` are
understood. A wrong value, an unknown key and an unknown ``CORDBOARD_`` variable are faults that name file, line,
field and rule; nothing is ignored. `settings_markdown` writes ``docs/reference/settings.md`` from the table.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cordboard.documents import Fault, YamlFile, did_you_mean, dotted, rule_of

PREFIX = "CORDBOARD_"
ENVIRONMENT = "environment"
"""The `file` of a fault whose value came from an environment variable."""
OTHER_VARIABLES = ("CORDBOARD_CONFIG", "CORDBOARD_TEST_")
"""Names, and beginnings of names, of ``CORDBOARD_`` variables that are no settings."""
TRANSPORTS = ("udp", "tcp", "tls")


class SettingsFault(Fault):
    """A fault in the settings."""

    __slots__ = ()


class SettingsError(Exception):
    """The settings cannot be used; `faults` has every reason."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


# ------------------------------------------------------------------------------------------------ types of values


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number in the table counts."""

    name: str


class Listener(NamedTuple):
    """One place to listen on; port 0 lets the system choose."""

    transport: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listener:
        match = re.fullmatch(r"([a-z]+)://(\[[0-9A-Fa-f:.]+\]|[^:/\[\]\s]+):(\d{1,5})", text.strip())
        if match is None or int(match[3]) > 65535:
            raise ValueError("a listener is written transport://address:port, such as udp://127.0.0.1:5060")
        if match[1] not in TRANSPORTS:
            raise ValueError(f"{match[1]}:// is no SIP transport known here; known are {', '.join(TRANSPORTS)}")
        return cls(match[1], match[2].strip("[]"), int(match[3]))

    def __str__(self) -> str:
        return f"{self.transport}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_seconds(value: object) -> object:
    """``0.1``, ``"100ms"``, ``"30 s"``, ``"5m"``, ``"2h"`` to seconds; the rest is left for the validator to refuse."""
    if isinstance(value, bool):
        raise ValueError("a time is a number of seconds, or such as 100ms, 30s, 5m, 2h")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", value.strip()) if isinstance(value, str) else None
    return float(match[1]) * _SECONDS[match[2]] if match else value


def _split(value: object) -> object:
    if isinstance(value, str):
        return (
            json.loads(value)
            if value.lstrip().startswith("[")
            else [part.strip() for part in value.split(",") if part.strip()]
        )
    return value


def _word(value: object) -> object:
    return str(value) if type(value) is int else value


def _listener(text: str) -> str:
    return str(Listener.parse(text))


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def _source(text: str) -> str:
    try:
        return _network(text)
    except ValueError:
        if not re.fullmatch(r"(?=.{1,253}$)([A-Za-z0-9_-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{0,62}", text):
            raise ValueError("a source is an IP address, a CIDR block or a DNS name with a dot") from None
        return text.lower()


def _listener_source(text: str) -> str:
    listener, equals, source = text.partition("=")
    if not equals:
        raise ValueError("written transport://address:port=source, such as udp://0.0.0.0:5060=10.0.0.0/8")
    return f"{_listener(listener)}={_source(source.strip())}"


def _ports(text: str) -> str:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    if match is None or not 1024 <= int(match[1]) < int(match[2]) <= 65535:
        raise ValueError("a port range is written low-high between 1024 and 65535, such as 20000-29999")
    return text


def _address(text: str) -> str:
    Listener.parse(f"tcp://{text}")
    return text


Seconds = Annotated[
    float, BeforeValidator(parse_seconds), Field(ge=0, le=86400 * 30, allow_inf_nan=False), Unit("seconds")
]
Count = Annotated[int, Field(ge=0, le=10_000_000), Unit("count")]
Bytes = Annotated[int, Field(ge=0, le=2**40), Unit("bytes")]
List = Annotated[tuple[str, ...], BeforeValidator(_split)]
Listeners = Annotated[
    tuple[Annotated[str, AfterValidator(_listener)], ...], BeforeValidator(_split), Unit("transport://address:port")
]
Sources = Annotated[
    tuple[Annotated[str, AfterValidator(_source)], ...], BeforeValidator(_split), Unit("CIDR or DNS name")
]
ListenerSources = Annotated[
    tuple[Annotated[str, AfterValidator(_listener_source)], ...],
    BeforeValidator(_split),
    Unit("transport://address:port=CIDR or DNS name"),
]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_split), Unit("CIDR")]
PortRange = Annotated[str, AfterValidator(_ports), Unit("low-high")]
HostPort = Annotated[str, AfterValidator(_address), Unit("address:port")]


def _(default: object, description: str, **limits: Any) -> Any:
    """A row of the table."""
    return Field(default, description=description, validate_default=True, **limits)


class Section(BaseModel):
    """A section of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ------------------------------------------------------------------------------------------------------- the table


class SipSettings(Section):
    """Signalling."""

    listen: Listeners = _(
        ("udp://127.0.0.1:5060", "udp://127.0.0.1:32681"),
        "Where SIP is listened for. Port 0 lets the system choose.",
        min_length=1,
    )
    external_address: str | None = _(
        None, "The address that peers outside reach us by, where it is not the listener's own."
    )
    allow: Sources = _(
        ("127.0.0.0/8", "::1/128"), "Sources that may send us requests, besides the addresses of the gateways."
    )
    listener_allow: ListenerSources = _(
        (),
        "Sources of single listeners, such as `udp://0.0.0.0:5060=10.0.0.0/8`; a listener named here takes requests "
        "from these alone.",
    )
    unknown_source: Annotated[Literal["auto", "drop", "403"], BeforeValidator(_word)] = _(
        "auto",
        "What any other source gets: silence, or a stateless 403. `auto`: 403 on loopback, silence elsewhere.",
    )
    trusted_proxies: Networks = _((), "Edge proxies of ours: what they say in `source_header` is a request's source.")
    source_header: str = _(
        "X-Source-Address",
        "The header with the original address; taken away from requests of everybody else.",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
    )
    packets_per_second: Count = _(5000, "Packets of one source each second; those beyond it are dropped unread.", ge=10)
    refusals_per_second: Count = _(10, "Requests of one unknown source each second that a 403 answers; then silence.")
    realm: str = _("cordboard", "The realm of our digest challenges.", pattern=r"^[\x20-\x21\x23-\x5b\x5d-\x7e]+$")
    registrar: bool = _(False, "Take REGISTER from test phones; bindings are kept in memory only.")
    tls_certificate: Path | None = _(None, "Our certificate with its chain, PEM; read again when it changes.")
    tls_key: Path | None = _(
        None, "The certificate's key, PEM without a passphrase. Empty: it is in the certificate file."
    )
    tls_ca: Path | None = _(
        None, "Authorities that peers' certificates must come from, PEM. Empty: those of the system."
    )
    tls_client_certificate: Path | None = _(None, "The certificate that we show as a client. Empty: `tls_certificate`.")
    tls_client_key: Path | None = _(None, "Its key.")
    tls_peers: Literal["none", "optional", "required"] = _(
        "none", "Whether peers that connect must show a certificate of `tls_ca`: mutual TLS."
    )
    max_connections: Count = _(2000, "TCP and TLS connections at once, ours and those of peers.", ge=1)
    max_connections_per_source: Count = _(100, "TCP and TLS connections that one source may have open.", ge=1)
    max_redirects: Count = _(
        5, "Contacts of 3xx answers that one call may be led to; each passes the dial policy.", le=20
    )
    max_hops: Count = _(8, "Diversions that a call may have behind it to be transferred on; it is a loop then.", ge=1)
    user_agent: str = _("Cordboard", "The User-Agent and Server header.", max_length=64, pattern=r"^[\x20-\x7e]*$")
    contact_user: str = _("cordboard", "The user part of our Contact.", pattern=r"^[A-Za-z0-9._-]+$")
    max_calls: Count = _(500, "Calls at once, each with all its legs; one more INVITE gets 503 with Retry-After.")
    max_calls_per_source: Count = _(200, "Calls at once from one source address; one more INVITE gets 503.")
    calls_per_second: Count = _(50, "New calls each second; those beyond it get 503 with Retry-After.")
    max_transactions: Count = _(40000, "Transactions at once; a request beyond it gets 503.", ge=100)
    max_message: Bytes = _(65535, "The longest SIP message that is read.", ge=1500)
    retry_after: Seconds = _(10, "Retry-After of our 503, while draining or full.")
    stream_over: Bytes = _(
        1300,
        "Requests longer than this leave by TCP, where we listen on it and the peer takes it, else by UDP "
        "(RFC 3261 §18.1.1). 0: never.",
    )
    t1: Seconds = _(0.5, "T1, the estimate of the round trip (RFC 3261 §17.1.1.1).", gt=0)
    t2: Seconds = _(4, "T2, the longest interval between retransmissions.", gt=0)
    t4: Seconds = _(5, "T4, how long a message may stay in the network.", gt=0)
    session_expires: Seconds = _(1800, "The session timer that we ask for (RFC 4028); 0 asks for none.")
    minimum_session_expires: Seconds = _(90, "The shortest session timer that we accept (RFC 4028 §5).", ge=90)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return tuple(map(Listener.parse, self.listen))

    def unknown_source_on(self, listener: Listener) -> Literal["drop", "403"]:
        """What a source outside `allow` gets on this listener."""
        if self.unknown_source == "auto":
            return "403" if listener.loopback else "drop"
        return self.unknown_source


class MediaSettings(Section):
    """The board."""

    address: str = _("127.0.0.1", "The local address of RTP sockets.")
    external_address: str | None = _(None, "The address written in SDP, where it is not `media.address`.")
    ports: PortRange = _("20000-29999", "UDP ports of RTP; RTCP uses the port above each.")
    srtp: Literal["off", "optional", "required"] = _(
        "off",
        "SRTP by SDES (RFC 4568): never, where a peer offers it, or always. A gateway whose profile says `sdes` is "
        "offered SRTP whatever this says.",
    )
    codecs: List = _(("PCMU", "PCMA"), "Codecs offered, in order of preference.", min_length=1)
    threads: Count = _(1, "Media threads of the C engine; best one for each spare core.", ge=1, le=64)
    engine: Literal["auto", "c", "python"] = _(
        "auto", "Which engine carries the media; `auto` takes C where it is built."
    )
    hold_music: Path | None = _(
        None, "A WAV file for callers on hold, where the action names none. Empty: the built-in loop."
    )
    port_rest: Seconds = _(
        5, "How long a closed port rests before it is used again, so that late packets reach nobody."
    )

    @property
    def port_range(self) -> tuple[int, int]:
        low, high = self.ports.split("-")
        return int(low), int(high)


class SpeechSettings(Section):
    """Embedded speech."""

    voice: str = _("auto", "The voice that speaks where the agent names none: `auto`, `espeak` or `flite`.")
    recogniser: str = _(
        "auto", "What listens where the agent names nothing: `auto`, `pocketsphinx` or `none` (keys only)."
    )
    max_hearings: Count = _(50, "Recognisers open at once; a call beyond it is heard by keys only.")
    recogniser_processes: Count = _(2, "Helper processes that recognise speech.", ge=1, le=64)


class ModelSettings(Section):
    """The language model: any server that speaks the OpenAI chat completions API."""

    base_url: str | None = _(
        None,
        "The server, such as `http://127.0.0.1:8000/v1`; it is reached wherever it is. Empty: the embedded rules.",
        pattern=r"^https?://[^\s@]+$",
    )
    api_key: SecretStr | None = _(None, "Its key, where it wants one.")
    name: str = _("default", "The model of agents whose `llm` names none, as the server calls it.", min_length=1)
    retries: Count = _(3, "Tries after a 429, a 5xx or a broken connection, within `timeouts.model`.", le=10)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = _(None, "Sent along where it is given.")


class EgressSettings(Section):
    """What leaves over HTTP on a user's word: custom actions and webhooks."""

    allow: Networks = _(
        (), "Private networks that may be reached. A cloud's metadata address must be named alone, as /32 or /128."
    )
    max_response: Bytes = _(2**20, "The longest answer that is read.", ge=1024)
    redirects: Count = _(3, "Redirects that are followed; each is checked like a first request.", le=20)
    requests_per_second: Count = _(20, "Requests to one host each second, on average; more are refused.", ge=1)
    requests_at_once: Count = _(200, "Requests at once to all hosts; more are refused.", ge=1)


class DatabaseSettings(Section):
    """The store."""

    url: str = _(
        "sqlite+aiosqlite:///var/cordboard.db",
        "SQLAlchemy URL: SQLite, or `postgresql+asyncpg://…`.",
        pattern=r"^[a-z0-9+]+://.*",
    )


class HttpSettings(Section):
    """The REST interface and the pages."""

    listen: HostPort = _("127.0.0.1:8080", "Where HTTP is listened for.")
    max_body: Bytes = _(2**20, "The longest request body that is read.", ge=1024)

    @property
    def address(self) -> tuple[str, int]:
        listener = Listener.parse(f"tcp://{self.listen}")
        return listener.host, listener.port


class DirectorySettings(Section):
    """Agents, gateways, phone books and numbers."""

    files: List = _(
        (),
        "YAML files relative to the settings file. Empty: the sample that comes along.",
    )


class RecordSettings(Section):
    """What is kept of a call."""

    flush: Seconds = _(0.1, "The longest time between an event and its row: what a crash may lose.", gt=0, le=10)
    folder: Path = _(Path("var/recordings"), "Where recordings are kept.")
    trace_bytes_per_call: Bytes = _(262144, "SIP messages kept for each call; later ones are counted, not kept.")
    max_events_per_call: Count = _(5000, "Events kept for each call; later ones are counted, not kept.", ge=100)
    max_queue: Count = _(20000, "Rows that wait for the database before new calls are refused with 503.", ge=1000)


class LogSettings(Section):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = _("info", "The least important line that is written.")
    format: Literal["console", "json"] = _("console", "Lines for people, or one JSON object a line.")


class TimeoutSettings(Section):
    """Every wait in the product names one of these."""

    ring: Seconds = _(30, "Transfers: how long a target may ring, where the action names no `timeout`.", gt=0)
    announcement: Seconds = _(15, "Transfers: the longest announcement before hold music takes over.", gt=0)
    whisper: Seconds = _(60, "Transfers: the longest whisper; then the two are joined.", gt=0)
    preparing: Seconds = _(10, "Transfers: actions and header extractors that must run first.", gt=0)
    header_extractor: Seconds = _(3, "Transfers: one header value from the model; then its default is used.", gt=0)
    summary: Seconds = _(3, "Transfers: the briefing from the model; then the message template is spoken.", gt=0)
    bridge_media: Seconds = _(
        5, "Transfers: media from both legs after the bridge; without it, media_negotiation_failed.", gt=0
    )
    refer_report: Seconds = _(60, "Transfers: the final NOTIFY after a 202; without it, refer_no_report.", gt=0)
    refer_bye: Seconds = _(
        5, "Transfers: the peer's BYE after a successful NOTIFY, where its profile sends one; then ours goes out."
    )
    human_detection: Seconds = _(60, "Transfers: hearing a live person, where the action names no limit.", gt=0)
    screening: Seconds = _(20, "Transfers: the answer to the screening question; asked twice, then declined.", gt=0)
    leg_close: Seconds = _(40, "The leg reaper: transaction timers of a leg that ends; then it is dropped.", gt=0)
    offer_answer: Seconds = _(10, "Our own answer to an INVITE, offer or REFER of a peer; then it is refused.", gt=0)
    answer_ack: Seconds = _(32, "The ACK for our 200 (64·T1); then the call is ended (RFC 3261 §13.3.1.4).", gt=0)
    media_silence: Seconds = _(
        60, "A leg from which no media comes, and that is not on hold; then it is noted as silent.", gt=0
    )
    connect: Seconds = _(4, "Opening a TCP or TLS connection; then the next target, or UDP.", gt=0)
    tls_handshake: Seconds = _(10, "The handshake of a peer that connects; then it is cut off.", gt=0)
    stream_message: Seconds = _(
        30, "A TCP or TLS peer's first message, and the end of each message that it begins; then it is cut off.", gt=0
    )
    stream_idle: Seconds = _(600, "Silence on a connection that nothing uses; then it is closed.", gt=0)
    keep_alive: Seconds = _(95, "Silence on a connection of ours; then a ping is sent (RFC 5626 §4.4.1). 0: never.")
    pong: Seconds = _(10, "The answer to a ping; then the connection is given up (RFC 5626 §4.4.1).", gt=0)
    nonce: Seconds = _(300, "How long a digest nonce of ours is good.", gt=0)
    registration: Seconds = _(3600, "The time that we register for at a gateway; refreshed before its end.", ge=60)
    registration_retry: Seconds = _(30, "The next try after a failed registration; doubled each time.", gt=0)
    registration_retry_most: Seconds = _(1800, "The longest pause between two tries (RFC 5626 §4.5).", gt=0)
    source_names: Seconds = _(60, "How often DNS names in lists of sources are looked up again.", ge=1)
    tls_check: Seconds = _(10, "How often certificate files are looked at for changes; SIGHUP does so at once.", gt=0)
    longest_call: Seconds = _(14400, "The longest call; then it is ended.", gt=0)
    longest_agent_phase: Seconds = _(3600, "The longest time with the agent; then the agent says goodbye.", gt=0)
    greeting: Seconds = _(5, "The caller's first words where the agent waits for them; then the agent greets.", gt=0)
    end_of_speech: Seconds = _(0.7, "Silence that ends what the caller says, at medium patience.", gt=0, le=10)
    utterance: Seconds = _(20, "The longest stretch of speech that is recognised as one.", gt=0)
    silence_prompt: Seconds = _(10, "Silence after which the agent asks whether the caller is there.", gt=0)
    silence_prompts: Count = _(2, "How often it asks; then it says goodbye.", le=20)
    speech: Seconds = _(5, "The first sound of a rendered sentence; then the fallback voice.", gt=0)
    speech_sentence: Seconds = _(30, "Rendering one sentence in whole.", gt=0)
    recogniser: Seconds = _(5, "The result of an utterance after its end; then the caller is asked again.", gt=0)
    model: Seconds = _(8, "The first words of the model; then an apology and the rules.", gt=0)
    model_turn: Seconds = _(30, "One turn of the model in whole.", gt=0)
    custom_action: Seconds = _(10, "An HTTP action, where it names no `failure_timeout`.", gt=0)
    http_connect: Seconds = _(5, "Connecting, for everything that leaves over HTTP.", gt=0)
    http_request: Seconds = _(30, "A request of the REST interface.", gt=0)
    inbound_webhook: Seconds = _(10, "The webhook that may choose the agent.", gt=0)
    hang_up_speech: Seconds = _(10, "Last words before the agent hangs up.", gt=0)
    prepared_call_lifetime: Seconds = _(600, "How long a prepared inbound call can be used.", gt=0)
    dns: Seconds = _(5, "One resolution of a name.", gt=0)
    dead_target: Seconds = _(30, "How long a target that failed is tried last (RFC 3263 §4.3).")
    gateway_probe: Seconds = _(5, "The answer to OPTIONS in `cordboard gateway probe`.", gt=0)
    database: Seconds = _(5, "One statement; longer, and the record waits in memory.", gt=0)
    drain: Seconds = _(60, "Shutdown: running calls may go on; then they are ended.")
    shutdown: Seconds = _(10, "Shutdown after the drain: BYEs, the last rows and the processes.", gt=0)


class Settings(BaseSettings):
    """The table. Make it by `load`, so that faults have a place."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, enable_decoding=False
    )

    sip: SipSettings = Field(default_factory=SipSettings)
    media: MediaSettings = Field(default_factory=MediaSettings)
    speech: SpeechSettings = Field(default_factory=SpeechSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    egress: EgressSettings = Field(default_factory=EgressSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    directory: DirectorySettings = Field(default_factory=DirectorySettings)
    timeouts: TimeoutSettings = Field(default_factory=TimeoutSettings)
    records: RecordSettings = Field(default_factory=RecordSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path | str | None = None, *, transports: Collection[str] = TRANSPORTS) -> Self:
        """The settings of a file (None: defaults) under the environment. Raises SettingsError with every fault.

        `transports` are those that this build can serve; a listener of another is refused by name.
        """
        source = YamlFile.empty() if path is None else YamlFile.read(Path(path))
        faults = [*source.faults, *_stray_variables(cls)]
        data: Mapping[str, Any] = source.data if isinstance(source.data, dict) else {}
        if source.data is not None and not isinstance(source.data, dict):
            faults.append(SettingsFault(source.name, 1, "", "a settings file holds sections, such as `sip:`"))
        data = {key: {} if value is None else value for key, value in data.items()}  # an empty section is no fault
        for key in [key for key in data if key not in cls.model_fields]:
            faults.append(
                SettingsFault(
                    source.name, source.line((key,)), key, "unknown section" + did_you_mean(key, cls.model_fields)
                )
            )
            del data[key]
        try:
            settings = cls(**data)
        except ValidationError as error:
            raise SettingsError([*faults, *(_fault(source, details) for details in error.errors())]) from None
        for index, listener in enumerate(settings.sip.listeners):
            if listener.transport not in transports:
                rule = f"{listener.transport}:// is not served yet; served are {', '.join(sorted(transports))}"
                faults.append(_place(source, ("sip", "listen", index), rule))
        if faults:
            raise SettingsError(faults)
        return settings


def _stray_variables(table: type[Settings]) -> Iterator[SettingsFault]:
    """Variables that look like settings and are none: a typing error must not pass for a setting."""
    known = [f"{PREFIX}{name}__{field}".upper() for name, field, _info in _rows(table)]
    for name in sorted(os.environ):
        section = name.upper().removeprefix(PREFIX).split("__")[0].lower()
        if not name.upper().startswith(PREFIX) or name.upper().startswith(OTHER_VARIABLES):
            continue
        if "__" not in name or section not in table.model_fields:
            yield SettingsFault(ENVIRONMENT, None, name, "unknown setting" + did_you_mean(name.upper(), known))


def _place(source: YamlFile, path: Sequence[str | int], rule: str) -> SettingsFault:
    variable = PREFIX + "__".join(str(part) for part in path[:2]).upper()
    for name in os.environ:
        if name.upper() == variable:
            return SettingsFault(ENVIRONMENT, None, name, rule)
    return SettingsFault(source.name, source.line(path), dotted(path), rule)


def _fault(source: YamlFile, details: ErrorDetails) -> SettingsFault:
    return _place(source, details["loc"], rule_of(details, Settings))


def _rows(table: type[Settings]) -> Iterator[tuple[str, str, Any]]:
    for name, section in table.model_fields.items():
        annotation = section.annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, Section)
        for field, info in annotation.model_fields.items():
            yield name, field, info


def settings_markdown(table: type[Settings] = Settings) -> str:
    """The reference page of the table."""
    lines = [
        "# Settings",
        "",
        "<!-- Generated from src/cordboard/settings.py; `python -m cordboard.settings` writes it. -->",
        "",
    ]
    lines += [
        "Defaults, then the YAML file of `--config`, then the environment; a later one wins. The variable of",
        "`sip.listen` is `CORDBOARD_SIP__LISTEN`. Lists are comma-separated or JSON in the environment. Times are",
        "seconds; `100ms`, `30s`, `5m` and `2h` are understood. An unknown key or variable is a fault;",
        "`cordboard check` names file, line, field and rule of each.",
    ]
    for name, section in table.model_fields.items():
        lines += ["", f"## {name}", "", (section.annotation.__doc__ or "") if section.annotation else "", ""]
        lines += ["| setting | default | unit | what it does |", "|---|---|---|---|"]
        for owner, field, info in _rows(table):
            if owner == name:
                unit = next((each.name for each in info.metadata if isinstance(each, Unit)), "")
                if typing.get_origin(info.annotation) is Literal:
                    unit = ", ".join(f"`{each}`" for each in typing.get_args(info.annotation))
                lines.append(f"| `{name}.{field}` | {_shown(info.default)} | {unit} | {info.description} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if value is None or value == ():
        return "(empty)"
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    print(settings_markdown(), end="")
