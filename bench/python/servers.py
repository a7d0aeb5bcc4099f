#!/usr/bin/env python3
"""One echo server of each kind that is compared: prints its port, serves until SIGTERM. usage: servers.py KIND"""

import asyncio
import sys


async def wsbeat_asyncio():
    import wsbeat

    async def handler(ws):
        async for message in ws:
            await ws.send(message)

    async with wsbeat.serve(handler, "127.0.0.1", 0) as server:
        print(server.port, flush=True)
        await server.serve_forever()


def wsbeat_callbacks():
    import wsbeat

    server = wsbeat.Server(port=0)

    @server.on_message
    def on_message(conn, message):
        conn.send(message)

    server.start()
    print(server.port, flush=True)
    sys.stdin.read()


async def websockets_echo():
    import logging

    import websockets

    logging.disable()  # a client that is cut off at the end would make it write

    async def handler(ws):
        async for message in ws:
            await ws.send(message)

    async with websockets.serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


async def aiohttp_echo():
    from aiohttp import WSMsgType, web

    async def handler(request):
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await ws.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Future()


KINDS = {"wsbeat callbacks": wsbeat_callbacks, "wsbeat asyncio": wsbeat_asyncio, "websockets": websockets_echo, "aiohttp": aiohttp_echo}


def main():
    kind = KINDS[sys.argv[1]]
    if asyncio.iscoroutinefunction(kind):
        asyncio.run(kind())
    else:
        kind()


if __name__ == "__main__":
    main()
