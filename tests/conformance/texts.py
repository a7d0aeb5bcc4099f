"""Texts for RFC 6455, 8.1: valid ones, wrong ones with a first impossible byte, and ones that only end too early (RFC 3629)."""

KOSME = "κ\u1f79σμε".encode()  # two, three, two, two and two bytes
MIXED = "Hello-µ@ßöäüàá-UTF-8!! 漢字 \U0001f600".encode()


def raw(text):
    return bytes.fromhex(text)


def boundary_characters():
    """The first and last character of each length and of the gap that surrogates leave, and the non-characters, which are legal."""
    points = [0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xCFFF, 0xD000, 0xD7FF, 0xE000, 0xFDD0, 0xFDEF, 0xFEFF, 0xFFFD,
              0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0x10000, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000]
    points += [plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)]
    return [chr(point).encode() for point in points]


VALID = boundary_characters() + [KOSME, MIXED, b"hello$world", "hello¢world".encode(), "hello€world".encode(),
                                 "hello\U00024b62world".encode(), "".join(map(chr, range(0x80, 0x800))).encode()]
VALID += [KOSME[:end] for end in (2, 5, 7, 9)]

# Bytes that stand in no text.
IMPOSSIBLE = [bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))] + [raw("fefeffff")]
LONELY_CONTINUATIONS = [raw("80"), raw("bf"), raw("80bf"), raw("80bf80"), raw("80bf80bf80bf"), bytes(range(0x80, 0xC0))]
LONELY_STARTS = [bytes([byte]) + b" " for byte in range(0xC2, 0xF5)]
OVERLONG = [raw(text) for text in ("c0af", "c080", "c1bf", "e080af", "e08080", "e09fbf", "f08080af", "f0808080", "f08fbfbf",
                                   "f8808080af", "f880808080", "f887bfbfbf", "fc80808080af", "fc8080808080", "fc83bfbfbfbf")]
SURROGATES = [raw(text) for text in ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf")]
SURROGATES += [raw(high + low) for high in ("eda080", "edadbf", "edae80", "edafbf") for low in ("edb080", "edbfbf")]
TOO_FAR = [raw(text) for text in ("f4908080", "f4bfbfbf", "f5808080", "f7bfbfbf", "f888808080", "fbbfbfbfbf", "fc8480808080",
                                  "fdbfbfbfbfbf")]
LAST_MISSING = [raw(text) for text in ("e080", "f08080", "f8808080", "fc80808080", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf")]
LAST_MISSING += [raw("c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"), raw("dfefbff48fbf")]
WRONG_SECOND = [raw(text) for text in ("c27f", "c2c0", "dfe0", "e17f80", "e1c080", "ec80ff", "f18041", "f180c0", "f18080f0",
                                       "f4807f80")]
IN_CONTEXT = [KOSME + raw("eda080") + b"edited", KOSME + raw("f4908080") + b"edited", b"a" * 4096 + raw("ff") + b"a" * 4096,
              b"a" * 15 + raw("80") + b"a" * 16, KOSME * 1000 + raw("c0")]
INVALID = (IMPOSSIBLE + LONELY_CONTINUATIONS + LONELY_STARTS + OVERLONG + SURROGATES + TOO_FAR + LAST_MISSING + WRONG_SECOND +
           IN_CONTEXT)

# Nothing wrong but their end.
UNFINISHED = [raw(text) for text in ("c2", "df", "e0a0", "ebbf", "ed9f", "efbf", "f0", "f090", "f09080", "f1bfbf", "f48fbf")]
UNFINISHED += [KOSME[:end] for end in (1, 3, 4, 6, 8, 10)] + [b"a" * 70000 + raw("e282")]


def names(data):
    """For test ids."""
    return f"{data[:8].hex()}.{len(data)}"


# RFC 3629, section 4: which second byte may follow each lead byte, and how many plain continuation bytes come after that.
_SEQUENCES = [(0x00, 0x7F, None, None, 0), (0xC2, 0xDF, 0x80, 0xBF, 0), (0xE0, 0xE0, 0xA0, 0xBF, 1), (0xE1, 0xEC, 0x80, 0xBF, 1),
              (0xED, 0xED, 0x80, 0x9F, 1), (0xEE, 0xEF, 0x80, 0xBF, 1), (0xF0, 0xF0, 0x90, 0xBF, 2), (0xF1, 0xF3, 0x80, 0xBF, 2),
              (0xF4, 0xF4, 0x80, 0x8F, 2)]


def first_bad_byte(data):
    """Index of the first byte that no valid UTF-8 text can have there; len(data) if only the end is missing; None if valid.

    Python's own incremental decoder sees surrogates a byte late.
    """
    expected = []
    for at, byte in enumerate(data):
        if expected:
            low, high = expected.pop(0)
            if not low <= byte <= high:
                return at
            continue
        for first, last, low, high, more in _SEQUENCES:
            if first <= byte <= last:
                expected = [(low, high)] * (low is not None) + [(0x80, 0xBF)] * more
                break
        else:
            return at
    return len(data) if expected else None
