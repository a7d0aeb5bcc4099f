#!/usr/bin/env python3
"""Python's websockets as its documentation has it, on uvloop, which it recommends. Nothing of wsbeat is used here."""

import argparse
import asyncio
import ssl

import uvloop
import websockets

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--broadcast", action="store_true")
parser.add_argument("--deflate", action="store_true")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--heartbeat", type=int, default=0)
args = parser.parse_args()
members = set()


async def serve(websocket):
    members.add(websocket)
    try:
        async for message in websocket:
            if args.broadcast:
                websockets.broadcast(members, message)
            else:
                await websocket.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        members.discard(websocket)


async def main():
    tls = None
    if args.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(args.cert, args.key)
    server = await websockets.serve(serve, "127.0.0.1", args.port, ssl=tls, backlog=1024, max_size=2**21,
                                    compression="deflate" if args.deflate else None, ping_interval=args.heartbeat or None,
                                    ping_timeout=args.heartbeat or None)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Future()


uvloop.install()
asyncio.run(main())
