import threading
import time

import pytest

from assay.media import Cache


def counting(log: list[str], key: str, value: bytes):
    def compute() -> bytes:
        log.append(key)
        return value

    return compute


def test_least_recently_used_goes_first():
    cache, log = Cache[bytes](30, len), []
    for key in ("a", "b", "c", "a", "d", "a", "b"):
        assert cache.get(key, counting(log, key, key.encode() * 10)) == key.encode() * 10
    assert log == ["a", "b", "c", "d", "b"]  # d pushed b out, not a
    assert cache.counts.hits == 2
    assert cache.counts.misses == 5
    assert cache.counts.evictions == 2
    assert cache.counts.bytes == 30
    assert len(cache) == 3


def test_a_value_over_the_bound_is_returned_and_not_kept():
    cache = Cache[bytes](5, len)
    assert cache.get("big", lambda: b"123456") == b"123456"
    assert (len(cache), cache.counts.bytes) == (0, 0)


def test_failure_is_not_remembered():
    cache, tries = Cache[bytes](50, len), []

    def fail() -> bytes:
        tries.append(1)
        raise RuntimeError("no")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            cache.get("k", fail)
    assert cache.get("k", lambda: b"ok") == b"ok"
    assert len(tries) == 2


def test_threads_compute_a_missing_value_once():
    cache, log = Cache[bytes](1000, len), []

    def slow() -> bytes:
        log.append("computed")
        time.sleep(0.05)
        return b"value"

    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("k", slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log == ["computed"]
    assert results == [b"value"] * 8
    assert (cache.counts.misses, cache.counts.hits) == (1, 7)


def test_the_bound_holds_under_threads():
    cache = Cache[bytes](200, len)

    def work(offset: int) -> None:
        for i in range(200):
            key = str((i * 7 + offset) % 40)
            assert cache.get(key, lambda key=key: key.encode() * 15) == key.encode() * 15

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.counts.bytes <= 200
    assert cache.counts.hits + cache.counts.misses == 800
    cache.clear()
    assert (len(cache), cache.counts.bytes) == (0, 0)


def test_a_negative_bound_is_refused():
    with pytest.raises(ValueError, match="negative"):
        Cache[bytes](-1, len)
