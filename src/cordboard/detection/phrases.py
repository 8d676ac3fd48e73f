"""What machines say, in English, German, Spanish and French; and what only people say.

Patterns over plain lower-case text as recognisers give it, accents removed. Data, and one function.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from .verdicts import Label

VOICEMAIL: dict[str, tuple[str, ...]] = {
    "en": (
        r"leave (me |us )?(a |your |the )?(short |brief |detailed |quick )?(message|name|number)",
        r"(after|at) the (tone|beep|signal)",
        r"record your message",
        r"(voice ?mail|answering (machine|service)|mailbox)",
        r"(can ?not|can't|unable to|couldn't) (come to|take|answer|get to) (the|your|my) (phone|call)",
        r"(i'll|i will|we'll|we will) (call|get back to|return|ring) (you|your)",
        r"(not available|unavailable) (right now|at the moment|to take)",
        r"please leave",
        r"missed your call",
    ),
    "de": (
        r"nachricht(en)? (hinterlassen|aufsprechen|nach)",
        r"hinterlass(en|t)? .{0,30}nachricht",
        r"nach dem (signal|piep|ton|pfeif)",
        r"(mailbox|anrufbeantworter|sprachbox)",
        r"(nicht|kein) .{0,30}(erreichbar|ans telefon|entgegennehmen)",
        r"rufe? .{0,20}(schnellstmoglich |bald |so bald wie moglich )?zuruck",
        r"sprechen sie (bitte )?(nach|ihre)",
    ),
    "es": (
        r"(deje|deja|dejar|dejenos|dejame|dejeme) .{0,20}(mensaje|nombre|recado)",
        r"(despues|tras) (de la|del|la) (senal|tono|pitido)",
        r"buzon de voz",
        r"contestador",
        r"no (puedo|podemos) (atender|contestar|responder)",
        r"(le|te) (llamare|llamaremos|devolvere|devolveremos)",
    ),
    "fr": (
        r"(laissez|laisser|laisse) .{0,20}(message|nom|coordonnees)",
        r"apres le (bip|signal|ton)",
        r"(messagerie|repondeur|boite vocale)",
        r"(ne (peux|pouvons|suis|sommes) pas) .{0,20}(repondre|disponible|joignable)",
        r"je (vous|te) (rappelle|rappellerai)",
    ),
}
MENU: dict[str, tuple[str, ...]] = {
    "en": (
        r"(press|dial|push|enter|say) (the )?(zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash|\d)\b",
        r"for .{2,40}(press|dial|say)\b",
        r"(following|main) (options|menu)",
        r"options have changed",
        r"(enter|dial) (the|your) .{0,20}(extension|number|code)",
        r"(your call|this call) (is important|may be|will be|is being) ",
        r"(all|our) (of our )?(agents|representatives|operators|lines|advisors) are .{0,20}busy",
        r"to repeat (this|these)",
    ),
    "de": (
        r"(drucken|wahlen) sie (bitte )?(die )?(null|eins|zwei|drei|vier|funf|sechs|sieben|acht|neun|\d)",
        r"fur .{2,50}(drucken|wahlen) sie",
        r"(alle|unsere) (leitungen|mitarbeiter|platze) .{0,30}(belegt|gesprach|besetzt)",
        r"(ihr anruf|das gesprach) .{0,20}(wichtig|aufgezeichnet)",
    ),
    "es": (
        r"(pulse|marque|oprima|presione|diga) (el )?(numero )?(cero|uno|dos|tres|cuatro|cinco|seis|siete|\d)",
        r"para .{2,50}(pulse|marque|oprima|presione)",
        r"(todos )?nuestros (agentes|operadores|asesores) .{0,30}ocupados",
        r"su llamada es (muy )?importante",
    ),
    "fr": (
        r"(tapez|appuyez sur|composez|faites|dites) (le |la |la touche )?(zero|un|deux|trois|quatre|cinq|\d)",
        r"pour .{2,50}(tapez|appuyez|composez|faites)",
        r"(tous )?nos (conseillers|operateurs|agents|lignes) .{0,30}(occupes|ligne)",
        r"votre appel .{0,20}(important|enregistre)",
    ),
}
ANNOUNCEMENT: dict[str, tuple[str, ...]] = {
    "en": (
        r"(number|person|customer|subscriber) you .{0,20}(dialed|dialled|called|calling|reached|trying)",
        r"(not in service|been disconnected|temporarily unavailable|switched off|out of reach)",
        r"(please )?(try (your call )?again later|hang up and)",
        r"(office|we) (is|are) (currently |now )?closed",
        r"(opening|business|office) hours",
    ),
    "de": (
        r"(gewahlte|dieser|der) (rufnummer|anschluss|teilnehmer|gesprachspartner)",
        r"kein anschluss unter",
        r"(voruber|zeitweilig)gehend nicht",
        r"(spater|zu einem spateren zeitpunkt) (noch einmal|erneut|wieder)",
        r"(offnungszeiten|geschaftszeiten)",
    ),
    "es": (
        r"(el numero|el abonado|el telefono) .{0,30}(marcado|llama|apagado|existe|disponible)",
        r"(apagado|fuera de cobertura|no existe)",
        r"(vuelva|intentelo|llame) .{0,20}(mas tarde|intentarlo)",
        r"nuestro horario",
    ),
    "fr": (
        r"(le numero|votre correspondant) .{0,30}(compose|demande|attribue|joignable|appelez)",
        r"(plus attribue|pas attribue|hors service)",
        r"(rappeler|renouveler) .{0,20}(ulterieurement|plus tard|appel)",
        r"(nos bureaux|horaires)",
    ),
}
PERSON: dict[str, tuple[str, ...]] = {
    "en": (
        r"^(hello|hi|hey|yes|yeah|yep|good (morning|afternoon|evening))( there| hello)?$",
        r"(who is this|who's (this|calling|speaking|there)|can i help|may i help|how can (i|we) help)",
        r"\bspeaking$",
        r"(is anyone|anybody) there|are you there|can you hear me",
    ),
    "de": (
        r"^(hallo|ja|ja bitte|guten (tag|morgen|abend)|moin|servus)( hallo)?$",
        r"(wer (ist|spricht)|was kann ich|wie kann ich|am apparat)",
    ),
    "es": (
        r"^(hola|si|diga|digame|bueno|alo|buenos dias|buenas tardes)( hola)?$",
        r"(quien (es|habla)|en que (le )?puedo|puedo ayudar)",
    ),
    "fr": (
        r"^(allo|oui|oui allo|bonjour|bonsoir)( oui)?$",
        r"(qui est|c'est qui|que puis je|puis-je vous aider|a l'appareil)",
    ),
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A known phrase in a transcript: whose it is, its language and the words."""

    label: Label
    language: str
    words: str


def plain(text: str) -> str:
    """Lower case, no accents, no punctuation."""
    text = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss").replace("\u2019", "'"))
    text = "".join(c if c.isalnum() or c in "'- " else " " for c in text if not unicodedata.combining(c))
    return " ".join(text.split())


def _compiled(tables: dict[str, tuple[str, ...]]) -> dict[str, re.Pattern[str]]:
    return {language: re.compile("|".join(f"(?:{phrase})" for phrase in each)) for language, each in tables.items()}


_TABLES = tuple(
    (label, _compiled(tables))
    for label, tables in (
        # "Press 1 to leave a message" is a menu, whatever else it says.
        (Label.PHONE_MENU, MENU),
        (Label.VOICEMAIL, VOICEMAIL),
        (Label.MACHINE, ANNOUNCEMENT),
        (Label.HUMAN, PERSON),
    )
)


def find(text: str, language: str | None = None) -> Phrase | None:
    """The strongest known phrase of a transcript; `language` (``en``, ``de-AT``) limits the search."""
    heard = plain(text)[:2000]
    wanted = language.lower().split("-")[0] if language else None
    for label, tables in _TABLES:
        for code, pattern in tables.items():
            if wanted in (None, code) or wanted not in tables:
                found = pattern.search(heard)
                if found:
                    return Phrase(label, code, found.group())
    return None
