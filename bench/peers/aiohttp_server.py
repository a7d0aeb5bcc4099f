#!/usr/bin/env python3
"""aiohttp's server as its documentation has it, on uvloop. Nothing of wsbeat is used here."""

import argparse
import asyncio
import socket
import ssl

import uvloop
from aiohttp import WSMsgType, web

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--broadcast", action="store_true")
parser.add_argument("--deflate", action="store_true")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--heartbeat", type=int, default=0)
args = parser.parse_args()
members = set()


async def send(websocket, message):
    if message.type == WSMsgType.TEXT:
        await websocket.send_str(message.data)
    else:
        await websocket.send_bytes(message.data)


async def to_all(message):
    for member in list(members):
        try:
            await send(member, message)
        except ConnectionError:
            members.discard(member)


async def serve(request):
    websocket = web.WebSocketResponse(compress=args.deflate, heartbeat=args.heartbeat or None, max_msg_size=2**21)
    await websocket.prepare(request)
    members.add(websocket)
    try:
        async for message in websocket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            if args.broadcast:
                await to_all(message)
            else:
                await send(websocket, message)
    except ConnectionError:
        pass
    finally:
        members.discard(websocket)
    return websocket


async def main():
    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    tls = None
    if args.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(args.cert, args.key)
    listener = socket.create_server(("127.0.0.1", args.port), backlog=1024)
    await web.SockSite(runner, listener, ssl_context=tls, backlog=1024).start()
    print(f"listening {listener.getsockname()[1]}", flush=True)
    await asyncio.Future()


uvloop.install()
asyncio.run(main())
