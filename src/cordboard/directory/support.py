"""What the directory can say and the product does not carry out yet.

Such an option is kept as data, and whoever loads the directory is warned: nothing is ignored in silence. When a
behaviour is built, its row is struck from the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cordboard.directory.actions import CustomAction, LiveTransfer
from cordboard.directory.agents import Agent
from cordboard.directory.values import Model


@dataclass(frozen=True, slots=True)
class NotYet:
    """A field whose values are not carried out, apart from its default and those in `carried`."""

    model: type[Model]
    field: str
    carried: frozenset[object] = frozenset()


def _rows(model: type[Model], *fields: str) -> tuple[NotYet, ...]:
    return tuple(NotYet(model, field) for field in fields)


NOT_CARRIED_OUT: tuple[NotYet, ...] = (
    NotYet(CustomAction, "action_sound", frozenset({""})),
    *_rows(LiveTransfer, "screen_pop_header"),
    *_rows(LiveTransfer, "after_bridge"),
    NotYet(Agent, "type", frozenset({"inbound"})),
    NotYet(Agent, "greeting_message_mode", frozenset({"agent_static", "human"})),
    *_rows(Agent, "patience_level", "external_webhook_url"),
)


def not_carried_out(model: Model, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of what a model, and the models in it, asks for and is not built yet."""
    for row in NOT_CARRIED_OUT:
        if type(model) is not row.model:
            continue
        value = getattr(model, row.field)
        whole_kind = row.field == "type" and not row.carried
        if whole_kind or (value not in row.carried and value != row.model.model_fields[row.field].default):
            yield (*path, row.field)
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, tuple):
            for index, each in enumerate(value):
                if isinstance(each, Model):
                    yield from not_carried_out(each, (*path, name, index))
