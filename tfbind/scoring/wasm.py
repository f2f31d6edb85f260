"""The WebAssembly module that multiplies matrices in a browser, assembled here instruction by instruction.

`gemm(a, b, bias, residual, y, rows, row_bytes, inner, columns, relu)` computes y = a b + bias (+ residual), then ReLU
where `relu` is not 0; float32, addresses in bytes, residual 0 for none. Row i of `a` are the `inner` numbers from
a + i * row_bytes on: with rows that overlap this is a convolution. `b` comes in panels of `LANES` columns, (columns /
LANES, inner, LANES). `rows` is a multiple of `ROWS`, `inner` of `UNROLL`, `columns` of `LANES`. `y` and `residual`
are (rows, columns). Encodings: https://webassembly.github.io/spec/core/appendix/index-instructions.html
"""

from collections.abc import Sequence

ROWS, LANES, UNROLL = 4, 8, 4  # the tile: ROWS * LANES / 4 accumulators, in vectors of 4 numbers
VECTOR, FLOAT = 16, 4  # bytes

I32, V128, FUNCTION, NOTHING = 0x7F, 0x7B, 0x60, 0x40
LOOP, IF, END, REPEAT_IF = 0x03, 0x04, 0x0B, 0x0D
GET, SET, CONST = 0x20, 0x21, 0x41
LESS, ADD, MULTIPLY = 0x49, 0x6A, 0x6C
LOAD, LOAD_SPLAT, STORE, ZERO = (b"\xfd\x00", 4), (b"\xfd\x09", 2), (b"\xfd\x0b", 4), b"\xfd\x0c" + bytes(16)
ADD4, MULTIPLY4, MAXIMUM4 = b"\xfd\xe4\x01", b"\xfd\xe6\x01", b"\xfd\xe9\x01"

PARAMETERS = ("a", "b", "bias", "residual", "y", "rows", "row_bytes", "inner", "columns", "relu")
COUNTERS = ("row", "column", "left", "stride", "panel", "out", "added", "a0", "a1", "a2", "a3", "from")
ACCUMULATORS = tuple(f"sum{row}{half}" for row in range(ROWS) for half in "lh")
VECTORS = (*ACCUMULATORS, "low", "high", "value")
PLACES = {name: place for place, name in enumerate((*PARAMETERS, *COUNTERS, *VECTORS))}


def gemm_module() -> bytes:
    """Assemble the module; it exports `gemm` and its `memory`."""
    body = b"\x02" + _unsigned(len(COUNTERS)) + bytes([I32]) + _unsigned(len(VECTORS)) + bytes([V128])
    body += _panels() + bytes([END])
    signature = bytes([FUNCTION]) + _vector([bytes([I32])] * len(PARAMETERS)) + b"\x00"
    exports = [_name("gemm") + b"\x00\x00", _name("memory") + b"\x02\x00"]
    sections = [
        (1, _vector([signature])),
        (3, _vector([b"\x00"])),
        (5, _vector([b"\x00\x01"])),
        (7, _vector(exports)),
        (10, _vector([_unsigned(len(body)) + body])),
    ]
    return b"\0asm\1\0\0\0" + b"".join(bytes([id]) + _unsigned(len(part)) + part for id, part in sections)


def _panels() -> bytes:
    """For each panel of columns, all tiles of rows."""
    return b"".join(
        [
            _set("stride", _product("columns", FLOAT)),
            _set("panel", _get("b")),
            _set("column", _number(0)),
            _loop(
                _set("row", _number(0)),
                _set("from", _get("a")),
                _set("out", _sum("y", _product("column", FLOAT))),
                _set("added", _sum("residual", _product("column", FLOAT))),
                _loop(_tile(), repeat=_less("row", "rows")),
                _set("panel", _sum("panel", _product("inner", LANES * FLOAT))),
                _advance("bias", LANES * FLOAT),
                _advance("column", LANES),
                repeat=_less("column", "columns"),
            ),
        ]
    )


def _tile() -> bytes:
    """One tile of `ROWS` rows and `LANES` columns; `from`, `out` and `added` end at the next."""
    starts = [
        _set("a0", _get("from")),
        *(_set(f"a{row}", _sum(f"a{row - 1}", _get("row_bytes"))) for row in (1, 2, 3)),
    ]
    sums = [_set(name, _load("bias", _half(name))) for name in ACCUMULATORS]
    add = [
        _set(name, _get(name) + _load("added", _half(name)) + ADD4) + _next_row("added", name)
        for name in ACCUMULATORS
    ]
    relu = [_set(name, _get(name) + ZERO + MAXIMUM4) for name in ACCUMULATORS]
    store = [_store("out", _half(name), _get(name)) + _next_row("out", name) for name in ACCUMULATORS]
    return b"".join(
        [
            *starts,
            *sums,
            _set("b", _get("panel")),
            _set("left", _get("inner")),
            _loop(
                *map(_step, range(UNROLL)),
                *(_advance(f"a{row}", UNROLL * FLOAT) for row in range(ROWS)),
                _advance("b", UNROLL * LANES * FLOAT),
                _advance("left", -UNROLL),
                repeat=_get("left"),
            ),
            _if("residual", *add),
            _if("relu", *relu),
            *store,
            _set("from", _sum("from", _product("row_bytes", ROWS))),
            _advance("row", ROWS),
        ]
    )


def _step(step: int) -> bytes:
    """One number of each row times one row of the panel, added to the tile."""
    low, high = (_load("b", step * LANES * FLOAT + half) for half in (0, VECTOR))
    code = [_set("low", low), _set("high", high)]
    for row in range(ROWS):
        code.append(_set("value", _load(f"a{row}", step * FLOAT, LOAD_SPLAT)))
        for name, factor in ((f"sum{row}l", "low"), (f"sum{row}h", "high")):
            code.append(_set(name, _get(name) + _get("value") + _get(factor) + MULTIPLY4 + ADD4))
    return b"".join(code)


def _half(accumulator: str) -> int:
    return VECTOR if accumulator.endswith("h") else 0


def _next_row(pointer: str, accumulator: str) -> bytes:
    return _set(pointer, _sum(pointer, _get("stride"))) if accumulator.endswith("h") else b""


def _get(name: str) -> bytes:
    return bytes([GET]) + _unsigned(PLACES[name])


def _set(name: str, value: bytes) -> bytes:
    return value + bytes([SET]) + _unsigned(PLACES[name])


def _number(value: int) -> bytes:
    return bytes([CONST]) + _signed(value)


def _sum(name: str, value: bytes) -> bytes:
    return _get(name) + value + bytes([ADD])


def _product(name: str, factor: int) -> bytes:
    return _get(name) + _number(factor) + bytes([MULTIPLY])


def _advance(name: str, by: int) -> bytes:
    return _set(name, _sum(name, _number(by)))


def _less(left: str, right: str) -> bytes:
    return _get(left) + _get(right) + bytes([LESS])


def _load(pointer: str, offset: int, load: tuple[bytes, int] = LOAD) -> bytes:
    code, alignment = load
    return _get(pointer) + code + _unsigned(alignment) + _unsigned(offset)


def _store(pointer: str, offset: int, value: bytes) -> bytes:
    code, alignment = STORE
    return _get(pointer) + value + code + _unsigned(alignment) + _unsigned(offset)


def _loop(*code: bytes, repeat: bytes) -> bytes:
    """Code that runs once, and again while `repeat` is not 0."""
    return bytes([LOOP, NOTHING]) + b"".join(code) + repeat + bytes([REPEAT_IF, 0, END])


def _if(condition: str, *code: bytes) -> bytes:
    return _get(condition) + bytes([IF, NOTHING]) + b"".join(code) + bytes([END])


def _name(text: str) -> bytes:
    return _vector([bytes([letter]) for letter in text.encode()])


def _vector(items: Sequence[bytes]) -> bytes:
    return _unsigned(len(items)) + b"".join(items)


def _unsigned(value: int) -> bytes:
    """LEB128 of a number that is not negative."""
    code = bytearray()
    while value >= 128:
        code.append(value % 128 + 128)
        value //= 128
    return bytes([*code, value])


def _signed(value: int) -> bytes:
    """LEB128 of a whole number."""
    code = bytearray()
    while not -64 <= value < 64:
        code.append(value % 128 + 128)
        value //= 128
    return bytes([*code, value % 128])
