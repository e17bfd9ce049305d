"""What a tool may ask for in `pip_requirements`: names and versions, nothing else.

Clients write V1's `{"name": "requests", "version": "2.32.0"}`, and much that pip would take.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from o.errors import InvalidArgument

MAX_REQUIREMENTS = 50
MAX_CHARS = 200
"""Of a name, and of a version."""


def check(requirements: Sequence[Mapping[str, Any]] | None) -> tuple[str, ...]:
    """The requirements as lines by PEP 508, in order and once each; the same set, the same lines.

    Args:
        requirements: `{"name", "version"}` each. A name may have extras and a version behind it
            (`httpx[http2]>=0.27`), a version may be a specifier (`>=2,<3`).

    Raises:
        InvalidArgument: One is more than that: an address, a path, an option, a marker.
    """
    requirements = requirements or ()
    if len(requirements) > MAX_REQUIREMENTS:
        raise InvalidArgument(f"A tool has at most {MAX_REQUIREMENTS} requirements.")
    return tuple(sorted({_line(each) for each in requirements}))


def _line(requirement: Mapping[str, Any]) -> str:
    name, version = requirement.get("name"), requirement.get("version")
    if not isinstance(name, str) or not isinstance(version, str | None):
        raise InvalidArgument("A requirement has a name, and may have a version, as text.")
    name, version = name.strip(), (version or "").strip()
    shown = f"{name[:80]} {version[:80]}".strip()
    if not name.isascii() or not version.isascii() or max(len(name), len(version)) > MAX_CHARS:
        raise InvalidArgument(f"The requirement {shown!r} is no package of an index.")
    try:
        parsed = Requirement(name)
    except InvalidRequirement:
        raise InvalidArgument(
            f"The requirement {shown!r} is no name of a package; addresses, paths and options are "
            "not taken"
        ) from None
    if parsed.url or parsed.marker:
        raise InvalidArgument(f"The requirement {shown!r} has an address or a marker")
    if version and parsed.specifier:
        raise InvalidArgument(f"The requirement {shown!r} has two versions")
    specifier = _specifier(version, shown) if version else parsed.specifier
    if any(each.operator == "===" for each in specifier):
        raise InvalidArgument(f"The requirement {shown!r} compares versions as text")
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    return f"{canonicalize_name(parsed.name)}{extras}{specifier}"


def _specifier(version: str, shown: str) -> SpecifierSet:
    """`2.32.0` and `v2.32.0` are that version; `latest` and `*` any."""
    if version.lower() in {"latest", "*", "any"}:
        return SpecifierSet()
    try:
        return SpecifierSet(f"=={Version(version)}")
    except InvalidVersion:
        pass
    try:
        if version[0].isdigit() and version.endswith(".*"):
            return SpecifierSet(f"=={version}")
        return SpecifierSet(version)
    except InvalidSpecifier:
        raise InvalidArgument(f"The requirement {shown!r} has no version by PEP 440") from None
