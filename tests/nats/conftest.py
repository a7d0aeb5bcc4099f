"""Fixtures: NATS servers and wsbeat servers that meet there."""

import os
import time

import pytest
import nats
from topics import TopicClient

# Where a sanitizer stands between, dlopen does not know where the program looks for its libraries.
os.environ["LD_LIBRARY_PATH"] = os.environ["WSBEAT_LIBDIR"]


@pytest.fixture
def start_nats(tmp_path):
    """start_nats(flag...) and start_nats.cluster(size); all are ended after the test."""
    started = []

    def start(*flags, **options):
        started.append(nats.Nats(tmp_path, *flags, **options))
        return started[-1]

    def cluster(size):
        servers = nats.cluster(tmp_path, size)
        started.extend(servers)
        return servers

    start.cluster = cluster
    yield start
    for server in started:
        server.kill()


def wait_until(holds, timeout=15):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


def is_up(instance):
    return b"nats: up" in instance.http("/healthz").body


@pytest.fixture
def join(start_server):
    """join(nats server or list, flag...): a wsbeat-server with --topics that is connected there."""
    def start(servers, *flags, wait=True, **options):
        urls = ",".join(server.url for server in servers) if isinstance(servers, list) else servers.url
        instance = start_server("--topics", "--nats", urls, *flags, **options)
        if wait:
            wait_until(lambda: is_up(instance))
        return instance

    return start


def meet(publishers, receivers, topic="meet"):
    """Returns when what any publisher publishes reaches every receiver (each subscribed to the topic): interest takes a moment to spread."""
    for number, publisher in enumerate(publishers):
        for client in receivers:
            waiting = True
            while waiting:
                publisher.publish(topic, number)
                try:
                    while client.next_event(0.05)[1] != number:
                        pass
                    waiting = False
                except TimeoutError:
                    pass
    settle(publishers, receivers, topic)


def settle(publishers, receivers, topic):
    """Takes what is still under way: a last mark of each publisher has come to each receiver."""
    for number, publisher in enumerate(publishers):
        publisher.publish(topic, f"settled {number}")
    for client in receivers:
        marks = [f"settled {number}" for number in range(len(publishers))]
        while marks:
            data = client.next_event()[1]
            if data in marks:
                marks.remove(data)


__all__ = ["TopicClient"]
