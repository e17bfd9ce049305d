"""What a statement of a migration does to tables: told by its text."""

import re
from dataclasses import dataclass
from enum import Enum

EXCLUSIVE = "readers and writers wait"
NO_WRITES = "writers wait"
ROWS_ONLY = "writers of the same rows wait"


class Work(Enum):
    """What is done to all rows of a table."""

    NONE = "nothing"
    READ = "every row is checked"
    INDEX = "an index is built"
    REWRITE = "it is written anew"
    ROWS = "rows are written"


@dataclass(frozen=True)
class Effect:
    """What a statement does to one table; `lock` says who waits."""

    table: str
    lock: str
    work: Work


_PARTS = re.compile(r"(\$\w*\$).*?\1|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TABLE = r"(?:ONLY )?(?:public\.)?\"?(\w+)\"?"
_MADE = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?{_TABLE}", re.IGNORECASE)
_REFERRED = re.compile(rf"REFERENCES {_TABLE}", re.IGNORECASE)
_INDEX = re.compile(
    rf"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?\w+ ON {_TABLE}", re.IGNORECASE
)
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?{_TABLE} (.*)", re.IGNORECASE | re.DOTALL)
_TRIGGER = re.compile(
    rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {_TABLE}", re.IGNORECASE
)
_DROP_TRIGGER = re.compile(rf"DROP TRIGGER (?:IF EXISTS )?\w+ ON {_TABLE}", re.IGNORECASE)
_DROP_TABLE = re.compile(rf"DROP TABLE (?:IF EXISTS )?{_TABLE}", re.IGNORECASE)
_CHANGED = re.compile(rf"(?:UPDATE|DELETE FROM) {_TABLE}", re.IGNORECASE)
_INSERT = re.compile(rf"INSERT INTO {_TABLE}", re.IGNORECASE)
_FROM = re.compile(rf"\bFROM {_TABLE}", re.IGNORECASE)
_EXISTS = re.compile(r"EXISTS ?\(.*?\)", re.IGNORECASE)
_SIMPLE = (
    (_INDEX, NO_WRITES, Work.INDEX),
    (_TRIGGER, NO_WRITES, Work.NONE),
    (_DROP_TRIGGER, EXCLUSIVE, Work.NONE),
    (_DROP_TABLE, EXCLUSIVE, Work.NONE),
    (_CHANGED, ROWS_ONLY, Work.ROWS),
)
_REWRITES = re.compile(
    r"\bTYPE\b|GENERATED|\w*serial\b|DEFAULT (?:gen_random_uuid|random|nextval|clock_timestamp)",
    re.IGNORECASE,
)
_CHECKS = re.compile(
    r"SET NOT NULL|VALIDATE|REFERENCES|CHECK ?\(|ADD CONSTRAINT|UNIQUE|PRIMARY KEY", re.IGNORECASE
)
_OF_NO_TABLE = re.compile(
    r"(?:CREATE (?:OR REPLACE )?(?:FUNCTION|EXTENSION|TYPE|TEXT SEARCH|SEQUENCE)|DROP FUNCTION"
    r"|ALTER TEXT SEARCH|COMMENT|SELECT|SET |ANALYZE)",
    re.IGNORECASE,
)


def statements_in(script: str) -> list[str]:
    """The statements of a script, each on one line, without comments."""
    found, start = [], 0
    for part in _PARTS.finditer(script):
        if part[0] == ";":
            found.append(script[start : part.start()])
            start = part.end()
    found.append(script[start:])
    plain = (" ".join(_COMMENT.sub("", one).split()) for one in found)
    return [one for one in plain if one]


def effects_of(statement: str) -> list[Effect] | None:
    """What a statement does to tables that are there; None where its text does not tell."""
    if made := _MADE.match(statement):
        referred = set(_REFERRED.findall(statement)) - {made[1]}
        return [Effect(name, NO_WRITES, Work.NONE) for name in sorted(referred)]
    if found := _ALTER.match(statement):
        return _altered(found[1], found[2])
    if _INSERT.match(statement):
        # As many rows are written as there are where they come from.
        return [
            Effect(name, ROWS_ONLY, Work.ROWS) for name in _FROM.findall(_EXISTS.sub("", statement))
        ]
    for form, lock, work in _SIMPLE:
        if found := form.match(statement):
            return [Effect(found[1], lock, work)]
    return [] if _OF_NO_TABLE.match(statement) else None


def _altered(table: str, how: str) -> list[Effect]:
    effects = [Effect(name, NO_WRITES, Work.NONE) for name in sorted(set(_REFERRED.findall(how)))]
    work = Work.NONE
    if _REWRITES.search(how):
        work = Work.REWRITE
    elif _CHECKS.search(how) and "NOT VALID" not in how.upper():
        work = Work.READ
    return [Effect(table, EXCLUSIVE, work), *effects]
