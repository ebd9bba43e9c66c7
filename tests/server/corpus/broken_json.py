"""Text that is no JSON, or JSON that no two readers understand alike (rows 1, 2, 6, 7, 8)."""

from cases import Case, posted

SYNTAX = {
    "only-spaces": b"   ",
    "open-brace": b"{",
    "open-bracket": b"[",
    "closing-brace": b"}",
    "value-missing": b'{"workflow":}',
    "colon-missing": b'{"workflow" "x"}',
    "comma-missing": b'{"workflow": "x" "input": {}}',
    "comma-trailing": b'{"workflow": "x",}',
    "comma-trailing-in-list": b'{"input": {"a": [1,]}}',
    "comma-leading": b'{,"workflow": "x"}',
    "single-quotes": b"{'workflow': 'x'}",
    "key-without-quotes": b'{workflow: "x"}',
    "key-that-is-a-number": b'{1: "x"}',
    "text-after-the-end": b'{"workflow": "x"} x',
    "two-documents": b'{"workflow": "x"}{"workflow": "y"}',
    "word-cut-off": b'{"input": nul}',
    "word-of-python": b'{"input": True}',
    "word-none": b'{"input": None}',
    "comment-of-javascript": b'// a comment\n{"workflow": "x"}',
    "comment-of-yaml": b'# a comment\n{"workflow": "x"}',
    "yaml": b"workflow: x\n",
    "number-without-zero": b'{"input": .5}',
    "number-with-leading-zero": b'{"input": 012}',
    "number-with-plus": b'{"input": +1}',
    "number-without-fraction": b'{"input": 1.}',
    "number-hexadecimal": b'{"input": 0x10}',
    "number-with-underscore": b'{"input": 1_000}',
    "number-without-exponent": b'{"input": 1e}',
    "text-unfinished": b'{"workflow": "x',
    "text-with-line-end": b'{"workflow": "x\ny"}',
    "text-with-tab": b'{"workflow": "x\ty"}',
    "text-with-control": b'{"workflow": "x\x01y"}',
    "escape-unknown": b'{"workflow": "\\x41"}',
    "escape-cut-off": b'{"workflow": "\\u12"}',
    "escape-at-the-end": b'{"workflow": "\\',
    "markup": b"<run/>",
    "form": b"workflow=x&input=1",
    "byte-order-mark": b'\xef\xbb\xbf{"workflow": "x"}',
}
DUPLICATES = {
    "at-the-top": (b'{"workflow": "a", "workflow": "b"}', "/workflow"),
    "with-equal-values": (b'{"workflow": "a", "workflow": "a"}', "/workflow"),
    "written-with-an-escape": (b'{"workflow": "a", "w\\u006frkflow": "b"}', "/workflow"),
    "inside-of-input": (b'{"workflow": "a", "input": {"x": 1, "x": 2}}', "/input/x"),
    "inside-of-a-list": (b'{"workflow": "a", "input": [{"x": 1, "x": 2}]}', "/input/0/x"),
    "inside-of-labels": (b'{"workflow": "a", "labels": {"x": "1", "x": "2"}}', "/labels/x"),
    "key-without-text": (b'{"workflow": "a", "input": {"": 1, "": 2}}', "/input/"),
}
NUMBERS = {
    "nan": b"NaN",
    "infinity": b"Infinity",
    "minus-infinity": b"-Infinity",
    "too-large-for-a-double": b"1e999",
    "too-small-for-a-double": b"-1e999",
    "of-5000-digits": b"9" * 5000,
    "of-100000-digits": b"1" * 100_000,
    "beyond-64-bits": b"18446744073709551616",
    "beyond-64-bits-signed": b"-9223372036854775809",
    "with-an-exponent-of-ten-digits": b"1e1234567890",
    "long-fraction-that-overflows": b"9" * 400 + b".5",
}
TEXTS = {
    "nul": b'"a\\u0000b"',
    "nul-alone": b'"\\u0000"',
    "half-a-surrogate-high": b'"\\ud800"',
    "half-a-surrogate-low": b'"\\udc00"',
    "surrogates-in-the-wrong-order": b'"\\udc00\\ud800"',
    "nul-in-a-key": b'{"a\\u0000": 1}',
    "half-a-surrogate-in-a-key": b'{"\\udfff": 1}',
    "nul-in-a-list": b'[["\\u0000"]]',
}


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return b'{"workflow": "x", "input": ' + opening * depth + b"1" + closing * depth + b"}"


DEPTHS = {
    f"{what}-{depth}": nested(opening, closing, depth)
    for what, opening, closing in (("lists", b"[", b"]"), ("maps", b'{"a":', b"}"))
    for depth in (33, 500, 5_000, 100_000)
}
DEPTHS["lists-never-closed"] = b'{"input": ' + b"[" * 100_000
DEPTHS["mixed"] = nested(b'[{"a":', b"}]", 300)

CASES: list[Case] = [
    *(posted(f"syntax-{name}", body, 400, "syntax_error") for name, body in SYNTAX.items()),
    posted("syntax-nothing-at-all", b"", 400, "syntax_error"),
    *(
        posted(f"duplicate-key-{name}", body, 422, "duplicate_key", at=at)
        for name, (body, at) in DUPLICATES.items()
    ),
    *(
        posted(
            f"number-{name}",
            b'{"workflow": "x", "input": {"n": ' + number + b"}}",
            422,
            "number_out_of_range",
        )
        for name, number in NUMBERS.items()
    ),
    *(
        posted(
            f"text-{name}",
            b'{"workflow": "x", "input": ' + text + b"}",
            422,
            "invalid_text",
        )
        for name, text in TEXTS.items()
    ),
    *(posted(f"depth-of-{name}", body, 422, "too_deep") for name, body in DEPTHS.items()),
]
