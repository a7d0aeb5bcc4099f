#!/usr/bin/env python3
"""An echo server for asyncio that tells why each connection ended.

    python3 asyncio_echo.py --port 9001
"""

import argparse
import asyncio

import wsbeat


async def handler(ws: wsbeat.ServerConnection) -> None:
    try:
        async for message in ws:
            await ws.send(message)
    finally:
        await ws.wait_closed()
        print(f"connection {ws.id}: {ws.close_info}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description="WebSocket echo server on asyncio")
    parser.add_argument("--port", type=int, default=9001, help="0: any free port")
    arguments = parser.parse_args()
    async with wsbeat.serve(handler, "127.0.0.1", arguments.port, heartbeat=20) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
