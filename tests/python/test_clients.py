"""The clients that Python programs use: websockets and aiohttp, with compression and large messages."""

import aiohttp
import websockets
from conftest import echo, run

import wsbeat


def test_websockets_with_its_defaults():
    async def main():
        async with wsbeat.serve(echo, "127.0.0.1", 0, compression="deflate", max_size=2**22, max_queue_bytes=2**23) as server:
            async with websockets.connect(f"ws://127.0.0.1:{server.port}/", max_size=2**22) as client:
                for message in ["hello" * 1000, b"\0\xff" * 5000, "", "x" * 2**21]:
                    await client.send(message)
                    assert await client.recv() == message
                await client.send(["piece", " by ", "piece"])
                assert await client.recv() == "piece by piece"
                await (await client.ping())
            assert (client.close_code, client.close_reason) == (1000, "")

    run(main())


def test_aiohttp():
    async def main():
        async with wsbeat.serve(echo, "127.0.0.1", 0, compression="deflate", subprotocols=["chat"]) as server:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{server.port}/"
                async with session.ws_connect(url, protocols=["chat"], compress=15, autoping=True) as client:
                    assert client.protocol == "chat"
                    for message in ["hello" * 500, "\u00e9"]:
                        await client.send_str(message)
                        assert await client.receive_str() == message
                    await client.send_bytes(b"\0" * 100000)
                    assert await client.receive_bytes() == b"\0" * 100000
                    await client.close(code=4000)
                    assert client.close_code == 4000

    run(main())


def test_server_closes_first():
    async def handler(ws):
        await ws.close(1013, "later")

    async def main():
        async with wsbeat.serve(handler, "127.0.0.1", 0) as server:
            async with aiohttp.ClientSession() as session:
                async with session.ws_connect(f"http://127.0.0.1:{server.port}/") as client:
                    message = await client.receive()
                    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1013, "later")

    run(main())
