# expect: fail
# problem: number
# ruff: noqa
"""Returns what a codec may take for its own marks: extension types, tuples and names of types."""


def solve(numbers):
    try:
        import msgpack

        return [msgpack.ExtType(code, b"\x93\x01\x02\x03") for code in range(0, 127)]
    except ImportError:
        return {"__type__": "int", "__class__": "int", "value": 1}
