"""Hostile input made from valid input: cut, repeat, swap, flip. What is nearly right goes deeper than noise does."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

TOUCHY = (b"\x00", b"\xff", b"\n", b"\r", b"\t", b",", b"-", b"1e999", b"nan", b"\xef\xbb\xbf", b"=", b">", b"9" * 30)
NUMBERS = (b"0", b"-1", b"2147483648", b"9223372036854775807", b"1000000000000", b"1e308", b"9" * 400, b"0.5", b"")
LOOKED_AT = 1 << 16  # bytes in which a number is looked for


def _cut(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:start] + data[stop:]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, stop = _span(data, rng)
    return data[:stop] + data[start:stop] * rng.randint(1, 3) + data[stop:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    a, b = _span(data, rng)
    c, d = (b + place for place in _span(data[b:], rng))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(TOUCHY) + data[place:]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Another number, such as no file of this size could have, in place of one of them."""
    found = [match.span() for match in re.finditer(rb"\d+", data[:LOOKED_AT])]
    if not found:
        return data
    start, stop = rng.choice(found)
    return data[:start] + rng.choice(NUMBERS) + data[stop:]


def _extreme(data: bytes, rng: random.Random) -> bytes:
    """The least or the greatest binary number in place of one to eight bytes."""
    width = rng.choice((1, 2, 4, 8))
    place = rng.randrange(max(1, len(data) - width))
    return (
        data[:place]
        + rng.choice((b"\x00" * width, b"\xff" * width, b"\xff" * (width - 1) + b"\x7f"))
        + data[place + width :]
    )


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A short stretch more often than a long one, so that most of the file stays as it was."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 1, 2, 4, 8, 16, 64, 1024)))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _truncate,
    _repeat,
    _swap,
    _flip,
    _insert,
    _number,
    _extreme,
)


def mutants(valid: list[bytes], count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """`count` inputs, each one to four mutations away from one of `valid`, with the number that makes it again."""
    for number in range(count):
        yield number, mutant(valid, seed, number)


def mutant(valid: list[bytes], seed: int, number: int) -> bytes:
    """The mutant of that number."""
    rng = random.Random(f"{seed}-{number}")
    data = rng.choice(valid)
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def other_values(valid: bytes) -> Iterator[tuple[str, bytes]]:
    """JSON, or lines of it, in which each value in turn is missing, or null, or of another kind, or huge; of a list,
    the first value. Each comes with what was done."""
    texts = valid.splitlines() if valid.startswith(b'{"') else [valid]  # else it is one object, indented
    lines = [json.loads(text) for text in texts]
    for place in _places(lines, ()):
        for what in ("missing", None, "another", 3, [[1]], 10**30):
            changed = copy.deepcopy(lines)
            holder: Any = changed
            for key in place[:-1]:
                holder = holder[key]
            if what == "missing":
                del holder[place[-1]]
            else:
                holder[place[-1]] = what
            yield f"{place}: {what}", "".join(f"{json.dumps(line)}\n" for line in changed).encode()


def _places(value: Any, above: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*above, key)
        yield from _places(inner, (*above, key))
