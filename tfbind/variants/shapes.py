"""Ways to write a variant: a line becomes a place and alleles, by the header above or by the shape of its words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tfbind.store import plural, quote

FORMS = "chr22:10510600 A>G, 12 A>G or A12G"
LONGEST_CHANGE = 10_000
MOST_DIGITS = 12  # of a position
NEAR = 10_000  # a number further from a position is an ID, not the other end of a stretch

_TYPED = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
)
_ARROW = re.compile(r"(?<=[A-Za-z])(?: *+(?:[-=]*>|\u2192|&gt;)| ++to ) *+(?=[A-Za-z-])")
_APART = re.compile(r"[,;]\s+|;|(?<=[A-Za-z]),(?=[^,]*\d)")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+")
_BASES = re.compile(r"[ACGTUN]+|-", re.IGNORECASE)
_ALTERNATIVES = re.compile(r"(?:[ACGTUN]+|[-.*])(?:,(?:[ACGTUN]+|\*))*|[^<\[\]]*[<\[\]].*", re.IGNORECASE)
_JOINED = re.compile(r"([A-Za-z]+|-)[/>]((?:[A-Za-z]+|-)(?:/[A-Za-z]+)*)")
_CHROMOSOME = re.compile(r"(?:chr)?(?:[1-9]|1\d|2[0-6]|X|Y|XY|MT?)|chr\w+|N[CTW]_\d+\.\d+", re.IGNORECASE)
_RS = re.compile(r"(rs\d+)(?:[\s,;:_]+(\S.*))?", re.IGNORECASE)
_RS_BEHIND = re.compile(r"(.*\w)[\s,;:(]+(rs\d+)\)?", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:[-*\u2022] +|\d+[.)] +)?(?:(?:hg|GRCh)\d\d(?:\.p\d+)?[: ]+)?(?:chromosome[: ]+)?", re.IGNORECASE
)
_SPDI = re.compile(r"(N[CTWG]_\d+\.\d+):(\d+):([A-Za-z]*):([A-Za-z]*)")
_TRANSCRIPT = re.compile(r"(?:^|[:\s(])([cnpr])\.[\d*(A-Z-]")
_COMPLEMENT = str.maketrans("ACGTUacgtu", "TGCAAtgcaa")
_GENOMIC = re.compile(r"(^|[:\s])[gm]\.(?=\d)")
_SPOKEN = re.compile(
    r"(?:(.+)([:\s_-]))?(\d[\d,]*)[\s:_-]*([A-Z]+)(?:\s*+[>/:_-]\s*+|\s++)([A-Z]+(?:,[A-Z]+)*|-)(?:_(?:b|hg|grch)\d\d)?",
    re.IGNORECASE,
)
_SHORT = re.compile(r"(?:(.+)[:\s])?([A-Za-z]+)(\d+)([A-Za-z]+)")
_HGVS = re.compile(
    r"(?:(.+)[:\s])?(\d[\d,]*)(?:_(\d[\d,]*))?\s?(?:del\s?([A-Za-z]*?))?(?:(ins|dup|inv)\s?([A-Za-z]*))?"
)
_RANGE = re.compile(r"(?:(.+):)?(\d[\d,]*)")
_FIELDS = {
    "chromosome": "chrom chr chromosome contig seqname seqnames seqid chrname",
    "position": "pos position bp basepairlocation basepairposition",
    "start": "start chromstart startposition",
    "end": "end stop chromend endposition",
    "id": "id rsid snp snpid rs name marker markername",
    "reference": "ref reference refallele referenceallele refbase",
    "alternative": "alt alternate alternative altallele alternateallele alternativeallele altbase tumorseqallele2",
    "variant": "variant variantid uploadedvariation hgvs hgvsg spdi",
    "effect": "effectallele a1 allele1",
}
_FIELD_OF = {name: field for field, names in _FIELDS.items() for name in names.split()}


class Written(NamedTuple):
    """A variant as a line says it: `position` counts from 1, `alternatives` have commas between them, "" is no base.

    `assumed` says how the line was read where its form leaves that open.
    """

    chromosome: str
    position: str
    id: str
    reference: str
    alternatives: str
    assumed: str = ""


@dataclass(frozen=True)
class Header:
    """The columns, from 0, of a table of variants by what they hold; `separator` None: blanks."""

    columns: dict[str, int]
    separator: str | None

    def read(self, line: str) -> Sequence[Written]:
        """Read a line below the header.

        Raises:
            ValueError: one line: a column is missing, or its cells are no variant.
        """
        separator = self.separator if self.separator and self.separator in line else None
        last = max(self.columns.values())
        cells = [cell.strip().strip('"') for cell in line.split(separator, last + 1)]
        if len(cells) <= last:
            raise ValueError(f"{plural(len(cells), 'column')}; expected at least {last + 1}, as in the header")
        cell = {field: cells[column] for field, column in self.columns.items()}
        id = cell.get("id") or "."
        if "variant" in cell:
            return by_shape(cell["variant"], id)
        place, alleles = cell.get("chromosome", ""), (cell["reference"] or ".", cell["alternative"] or ".")
        if "position" in cell:
            return [Written(place, cell["position"], id, *alleles)]
        if "end" in cell:
            return [_in_stretch(place, cell["start"], cell["end"], id, *alleles)]
        return [Written(place, cell["start"], id, *alleles, "with start as a position that counts from 1")]


def read_header(line: str) -> Header | None:
    """Read a line that names the columns of a table; None where it is none of variants.

    Raises:
        ValueError: its columns do not say which allele is that of the genome.
    """
    separator = next((sign for sign in "\t,;" if sign in line), None)
    columns: dict[str, int] = {}
    for column, word in enumerate(line.split(separator)):
        name = re.sub(r"(?:hg|grch|b)\d\d$", "", re.sub(r"[\W_]", "", word.lower()))
        columns.setdefault(_FIELD_OF.get(name, ""), column)
    places = [place for place in ({"position"}, {"start", "end"}, {"start"}) if place <= columns.keys()]
    if places and {"reference", "alternative"} <= columns.keys():
        used = {"chromosome", "id", "reference", "alternative"} | places[0]
    elif "variant" in columns and (separator or " " not in line.strip()):
        used = {"variant", "id"}
    elif places and "effect" in columns:
        raise ValueError("no columns ref and alt, and the genome may have either allele; expected both columns")
    else:
        return None
    return Header({field: column for field, column in columns.items() if field in used}, separator)


def by_shape(line: str, id: str = ".") -> list[Written]:
    """Read a line without a header: one variant in any form, or several changes, as `26 T>A, 27 T>G`.

    Args:
        line: the line.
        id: the ID of the variant, where it is known already.

    Returns:
        The variants.

    Raises:
        ValueError: one line: it has none of the forms, or does not say enough.
    """
    text = _plain(line)
    for separator in ("\t", None, ",", ";"):
        words = [word.strip().strip('"') for word in text.split(separator)]
        if (
            len(words) > 2
            and (separator == "\t" or not any(" " in word for word in words))
            and (row := _row(words, id))
        ):
            return [row]
    if id == "." and (match := _RS.fullmatch(text)):
        if not match[2] or not re.search(r"\d", match[2]):
            raise ValueError("an rs number alone has no place and no bases; expected those, as chr22:10510600 A>G")
        return by_shape(match[2], match[1])
    if id == "." and (match := _RS_BEHIND.fullmatch(text)):
        return by_shape(match[1], match[2])
    parts = [part for part in _APART.split(text.strip(' \t,;."')) if part]
    return [_change(part)._replace(id=id) for part in parts or [text]]


def _plain(text: str) -> str:
    """A text with the signs that word processors, spreadsheets and browsers put in place of typed ones undone."""
    text = text.translate(_TYPED).strip(" \n\r\f\v\ufeff")
    if "<" in text:
        return text
    text = _ARROW.sub(">", text)
    if "\t" in text:
        return text
    text = re.sub(" {2,}", " ", text.partition(" #")[0])
    return re.sub(" ?([:/]) ?", r"\1", _BEFORE.sub("", text, count=1))


def _row(words: list[str], id: str = ".") -> Written | None:
    """The variant of a row of words, None where they are no row."""
    numbers = [bool(_NUMBER.fullmatch(word)) for word in words]
    if id == "." and len(words) > 3 and _begins_with_id(words, numbers):
        return _row(words[1:], words[0])
    if len(words) > 4 and not numbers[1] and numbers[2] and _BASES.fullmatch(words[3]):
        return Written(words[0], words[2], words[1], *words[3:5]) if _ALTERNATIVES.fullmatch(words[4]) else None
    if len(words) == 6 and not numbers[1] and numbers[3] and _BASES.fullmatch(words[4]):
        raise ValueError(
            "this looks like PLINK's .bim, where the genome may have either allele; expected REF and ALT"
        )
    if len(words) < 3 or not numbers[1]:
        return None
    if joined := _JOINED.fullmatch(words[2]):
        return Written(words[0], words[1], id, joined[1], joined[2].replace("/", ","))
    if len(words) < 4:
        return None
    if numbers[2] and (joined := _JOINED.fullmatch(words[3])):
        alleles = [joined[1], joined[2].replace("/", ",")]
        if words[4:5] in (["-"], ["-1"]):
            alleles = list(map(_turned, alleles))
        return _in_stretch(words[0], words[1], words[2], id, *alleles)
    if numbers[2] and abs(_number(words[2]) - _number(words[1])) <= NEAR:
        for column in (3, 4, 6):  # behind the name and what else BED may have
            if len(words) > column + 1 and _BASES.fullmatch(words[column]) and _BASES.match(words[column + 1]):
                name = words[3] if column > 3 and id == "." else id
                return _in_stretch(words[0], words[1], words[2], name, words[column], words[column + 1])
    if len(words) > 4 and (_ALTERNATIVES.fullmatch(words[4]) or not _BASES.fullmatch(words[3])):
        return Written(words[0], words[1], words[2] if id == "." else id, *words[3:5])
    if _BASES.fullmatch(words[2]):
        return Written(words[0], words[1], id, *words[2:4])
    return Written(words[0], words[1], words[2], *words[3:5]) if len(words) > 4 else None


def _begins_with_id(words: list[str], numbers: list[bool]) -> bool:
    if _RS.fullmatch(words[0]):
        return True
    if _CHROMOSOME.fullmatch(words[0]) or not _CHROMOSOME.fullmatch(words[1]) or not numbers[2]:
        return False
    return not numbers[1] or abs(_number(words[2]) - _number(words[1])) > len(words[3])


def _number(word: str) -> int:
    digits = word.replace(",", "")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"position {quote(digits)}: no chromosome is that long; expected {FORMS}")
    return int(digits)


def _turned(alleles: str) -> str:
    return ",".join(allele.translate(_COMPLEMENT)[::-1] for allele in alleles.split(","))


def _in_stretch(chromosome: str, start: str, end: str, id: str, reference: str, alternatives: str) -> Written:
    """A variant with the start and end of its reference, from 0 or from 1 as its length tells.

    Raises:
        ValueError: it goes with neither, or these are no numbers.
    """
    if not (_NUMBER.fullmatch(start) and _NUMBER.fullmatch(end)):
        raise ValueError(f"start and end are {quote(start)} and {quote(end)}; expected whole numbers")
    first, last = map(_number, (start, end))
    bases = 0 if reference in ("-", ".") else len(reference)
    if not bases and abs(last - first) <= 1:  # between two bases, in BED, VEP's form, MAF and ANNOVAR alike
        return Written(chromosome, str(min(first, last) + 1), id, "", alternatives, "as inserted between two bases")
    if bases and last - first == bases:
        assumed = "with start and end as in BED, which counts from 0"
        return Written(chromosome, str(first + 1), id, reference, alternatives, assumed)
    if bases and last - first == bases - 1:
        assumed = "with start and end that count from 1"
        return Written(chromosome, str(first), id, reference, alternatives, assumed)
    raise ValueError(
        f"this looks like start {start} and end {end}, which REF, {quote(reference)}, does not fill; expected an end "
        f"of start + {bases} (from 0, as in BED) or start + {bases - 1} (from 1)"
    )


def _change(text: str) -> Written:
    """A change of one of `FORMS`, of HGVS or SPDI.

    Raises:
        ValueError: one line: it is none, or does not say enough.
    """
    if len(text) > LONGEST_CHANGE:
        raise ValueError(f"a change of {len(text):,} characters; expected at most {LONGEST_CHANGE:,}, as {FORMS}")
    if "[" in text:
        raise ValueError(f"{quote(text)} is a sequence with its change, for the page's box of DNA; expected {FORMS}")
    if match := _TRANSCRIPT.search(text):
        raise ValueError(
            f"{quote(text)}: {match[1]}. counts along a transcript or protein, which is not known here; expected the "
            f"place in the genome or in the sequence, as {FORMS}"
        )
    if match := _SPDI.fullmatch(text):
        chromosome, place, reference, alternative = match.groups()
        return Written(
            chromosome, str(_number(place) + 1), ".", reference, alternative, "as SPDI, which counts from 0"
        )
    text = _GENOMIC.sub(r"\1", text)
    if (match := _HGVS.fullmatch(text)) and (match[4] is not None or match[5]):
        return _hgvs(text, match)
    if match := _SPOKEN.fullmatch(text):
        chromosome, sign, position, reference, alternative = match.groups(default="")
        stretch = _RANGE.fullmatch(chromosome) if sign in ("-", "_") else None
        if stretch and (stretch[1] or not _CHROMOSOME.fullmatch(chromosome)):
            if sign == "_" and _number(position) - _number(stretch[2]) != len(reference) - 1:
                raise ValueError(f"{quote(text)} names {plural(len(reference), 'base')} for other places")
            return _in_stretch(stretch[1] or "", stretch[2], position, ".", reference, alternative)
        return Written(chromosome.strip(" :-"), position, ".", reference, alternative)
    if match := _SHORT.fullmatch(text):
        chromosome, reference, position, alternative = match.groups(default="")
        return Written(chromosome.strip(" :"), position, ".", reference, alternative)
    raise ValueError(f"{quote(text)} is no change of a base; expected {FORMS}")


def _hgvs(text: str, match: re.Match[str]) -> Written:
    chromosome, start, end, deleted, kind, letters = match.groups()
    first, last = map(_number, (start, end or start))
    place = (chromosome or "").strip(" :")
    if deleted is None and kind == "ins":
        if last != first + 1 or not letters:
            raise ValueError(
                f"{quote(text)}: expected the bases and the two places that they lie between, as in 25_26insAC"
            )
        return Written(place, str(last), ".", "", letters)
    reference = letters if kind == "dup" else deleted
    if kind == "inv" or not reference or (kind == "ins" and not letters):
        raise ValueError(f"{quote(text)} does not name the bases; expected them, as in 25delA or 25_26delACinsT")
    if end and last - first + 1 != len(reference):
        raise ValueError(f"{quote(text)} names {plural(len(reference), 'base')}, not {last - first + 1}")
    return Written(place, str(first), ".", reference, 2 * letters if kind == "dup" else letters or "")
