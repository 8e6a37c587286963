"""Columns of rows, and paths into them: ``names[0]``, ``meta[title]``, of chats ``turns[user]``."""

import re
from typing import Any, NamedTuple

from mixmerge.data.rows import Row

#: What the turns of a chat call their speaker and their text; words for the roles.
_SPEAKER, _SPOKEN = ("role", "from", "speaker", "author"), ("content", "value", "text")
_ROLES = dict.fromkeys(("user", "human", "prompter"), "user")
_ROLES |= dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "ai"), "assistant")
_ROLES |= dict.fromkeys(("system", "developer"), "system")


class ChatTurn(NamedTuple):
    """A turn that a field was taken from: its number, from 0, in a chat with turns of ``roles``."""

    chat: str
    number: int
    roles: tuple[str, ...]


class FieldError(Exception):
    """A row's column holds no text, another speaker's or a language unknown; says the way out."""


class MissingField(FieldError):
    """The row has no such column, or it has nothing at the path's place in it."""


def find_column(row: Row, column: str, role: str | None = None) -> tuple[Any, ChatTurn | None]:
    """What a row has in a column or at a path, and which turn it is where that is a chat's.

    ``chat[user]`` is the text of the first turn of that role, ``chat[assistant]`` of the one that
    answers it; ``chat[system]`` is None where there is none. Raises `MissingField`, or `FieldError`
    where a chat has no such turn or, given by position, it is not of ``role``.
    """
    # A column of that very name comes before a path such as ``messages[0][content]``.
    path, *keys = [column] if column in row else re.findall(r"[^\[\]]+", column) or [column]
    place = None
    try:
        value: Any = row[path]
        while keys:
            turns, roles = _chat(value)
            if turns and keys[0] in value and len(keys) > 1:  # ``chat[content][0]``
                keys[:2] = reversed(keys[:2])
            key = keys.pop(0)
            if turns and (isinstance(value, list) or key not in value):
                if "system" == _role(key) not in roles:
                    return None, None
                place = ChatTurn(path, _number(key, roles, path, role), roles)
                value = turns[place.number]
            else:
                value = value[int(key)] if isinstance(value, list) else value[key]
            path += f"[{key}]"
    except (KeyError, IndexError, ValueError, TypeError):
        raise MissingField(column) from None
    if place and isinstance(value, dict):
        value = next((value[name] for name in _SPOKEN if name in value), None)
    return value, place


def _chat(value: Any) -> tuple[list[Row], tuple[str, ...]]:
    """A chat's turns and who speaks: of a list, or of an object of lists, as tables may have it."""
    if isinstance(value, dict) and all(isinstance(part, list) for part in value.values()):
        value = [dict(zip(value, turn, strict=True)) for turn in zip(*value.values(), strict=False)]
    if isinstance(value, list) and all(isinstance(turn, dict) for turn in value):
        for name in _SPEAKER:
            roles = tuple(_role(str(turn.get(name))) for turn in value)
            # Others have senders and authors, too: mails, comments.
            if not {*_ROLES.values()}.isdisjoint(roles):
                return value, roles
    return [], ()


def _role(word: str) -> str:
    word = word.strip().lower()
    return _ROLES.get(word, word)


def _number(key: str, roles: tuple[str, ...], chat: str, role: str | None) -> int:
    """The turn that a path's key names: by position, which must be the role's, or by role."""
    turns = f"column {chat!r} has the turns {', '.join(roles[:4])}{', ...' * (len(roles) > 4)}"
    if re.fullmatch(r"-?\d+", key) and -len(roles) <= int(key) < len(roles):
        if role not in (None, roles[int(key)]):
            way_out = f"name turns by role, as {chat}[{role}], in `columns`, or mend the row"
            raise FieldError(f"{turns}: [{key}] is not the {role}'s; {way_out}")
        return int(key) % len(roles)
    wanted = _role(key)
    after = roles.index("user") + 1 if wanted == "assistant" and "user" in roles else 0
    if wanted not in roles[after:]:
        raise FieldError(f"{turns}: no [{key}]{' after the user' if after else ''}")
    return roles.index(wanted, after)


def text_in(row: Row, column: str, role: str | None = None) -> tuple[str, ChatTurn | None]:
    """What a row has in a column as text, empty for null, and the turn where it is a chat's."""
    value, place = find_column(row, column, role)
    if place and isinstance(value, list):  # a turn may come in parts
        parts = [part.get("text") for part in value if isinstance(part, dict)]
        texts = [text for text in parts if isinstance(text, str)]
        value = "".join(texts) if len(texts) == len(value) else value
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        way_out = (
            f"reach into it as {column}[{'user' if _chat(value)[0] else '0'}] or {column}[key]"
        )
        raise FieldError(f"column {column!r} holds {kind}, not text; {way_out} in `columns`")
    return "" if value is None else str(value), place
