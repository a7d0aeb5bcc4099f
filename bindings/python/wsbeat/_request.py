"""A connection's request: path and headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


class Headers(Mapping[str, str]):
    """HTTP headers. Names are compared in any case; values of repeated headers are joined with ", " (RFC 9110, 5.3)."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        name = name.lower()
        return [value for key, value in self._pairs if key.lower() == name]

    def raw_items(self) -> list[tuple[str, str]]:
        """All (name, value) pairs as they came."""
        return list(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


class Request:
    """The request that opened a connection.

    `path` is the target as it was sent, with the query; `headers` a mapping.
    """

    __slots__ = ("method", "path", "query", "headers")

    def __init__(self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]]) -> None:
        self.method = method
        self.path = f"{path}?{query}" if query else path
        self.query = query
        self.headers = Headers(headers)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"
