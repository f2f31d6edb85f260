"""Modifications of oligos as vendors write them: `/5Phos/`, `[BtnTg]`, `A*C`, `+A`, `mC`, `5'-FAM-ACGT-BHQ1-3'`."""

import re
from collections import Counter

LONGEST = 10_000  # bytes of a text that may be an oligo

_LABEL = (
    rb"(?:[356]'?-?)?(?:P|phos(?:phate)?|bio(?:tin)?(?:-?TEG)?|biosg|btn(?:Tg)?|FAM|TAMRA|TET|HEX|JOE|ROX|NED|VIC|"
    rb"cy-?\d(?:\.5)?|BHQ-?_?\d?|BBQ-?650|DABCYL|IABkFQ|IABRQ|ATTO ?-?\d+N?|alexa ?(?:fluor)? ?\d+|AF\d+|IRD ?\d+|"
    rb"TEX\d+|texas ?red|YakYel|MGB|ZEN|EDANS|DNP|DIG(?:oxigenin)?|chol(?:esterol)?(?:-?TEG)?|TEG|PEG|HEG|azide|DBCO|"
    rb"alkyne|hexynyl|acryd(?:ite)?|psoralen|(?:C\d+-?)?(?:amino|NH2|thiol|SH|SS)(?:-?C\d+)?|AmM?C\d+|"
    rb"d?SP(?:acer)?-?C?\d*)"
)
_BASE_LABEL = rb"(?:\+|LNA-?|[mrdlf]|5?-?h?m(?:e(?:thyl)?)?-?d?|2'?-?(?:O-?Me|MOE|F)-?r?|8-?oxo-?d|5?Br-?d|dd|deoxy)"
_BASE = rb"[ACGTUI]"
_BRACKETED = re.compile(
    rb"\[(?:TAM|(?i:%(l)s))\]|\((?i:%(l)s)\)|\{(?i:%(l)s)\}|[\[({](?:(?i:%(p)s)(%(b)s)|i)[\])}]|/[35i]\w[\w.+-]{0,18}/"
    % {b"l": _LABEL, b"p": _BASE_LABEL, b"b": _BASE}
)
_SLASHED_BASE = re.compile(rb"(?:[dr]|oxy|2F|MC6|Fluor)(%s)/\Z" % _BASE)
_NO_BASE = re.compile(rb"/i(?:[dr]Sp|5NitInd)/|.i.")  # a place in the chain that has none of A C G T
_AT_ENDS = re.compile(
    rb"\A(\s*(?:5[^\w\s]+)?)((?i:%(l)s)-|p(?=%(b)s{3}))|(?<=[ACGTUIacgtui'])(-(?i:%(l)s)|p)(?=\s*\Z|-?3[^\w\s])"
    % {b"l": _LABEL, b"b": _BASE}
)
_SIGN = re.compile(rb"[\[({/*+\-mrdlfsp]")
_BONDS = re.compile(rb"\*|\+(?=[ACGTUI])", re.IGNORECASE)
_SUGARS = re.compile(rb"(?:5h?)?m(?=C)|[mrdlf](?=%(b)s)|(?<=%(b)s)s" % {b"b": _BASE})
_OTHER_LOWER = re.compile(rb"[a-ceg-kn-qt-z]")


def strip_modifications(body: bytes) -> tuple[bytes, Counter[str]]:
    """Leave the modifications out of an oligo; a modified base stays, one that is none of A C G T is N.

    Lower-case letters mark sugars and bonds (`mC`, `rA`, `dAsC`) only where all bases are in upper case.

    Returns:
        The rest, and how often each modification was there.
    """
    names = Counter[str]()

    def leave_out(match: re.Match[bytes]) -> bytes:
        names[match[0].decode(errors="replace").strip()] += 1
        return b""

    def leave_base(match: re.Match[bytes]) -> bytes:
        leave_out(match)
        slashed = _SLASHED_BASE.search(match[0])
        base = match[1] or (slashed[1] if slashed else b"")
        return b"N" if base == b"I" or _NO_BASE.fullmatch(match[0]) else base

    def leave_end(match: re.Match[bytes]) -> bytes:
        names[(match[2] or match[3]).strip(b"-").decode(errors="replace")] += 1
        return match[1] or b""

    if len(body) > LONGEST or not _SIGN.search(body):
        return body, names
    body = _BONDS.sub(leave_out, _AT_ENDS.sub(leave_end, _BRACKETED.sub(leave_base, body)))
    if not _OTHER_LOWER.search(body):
        body = _SUGARS.sub(leave_out, body)
    return body, names
