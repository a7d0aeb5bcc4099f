#!/usr/bin/env python3
"""A chat with rooms: a client is in the room that its path names, and what it sends goes to everyone there.

    python3 topics_chat.py --port 9001
    python3 topics_chat.py --port 9002 --nats nats://127.0.0.1:4222

With --nats all servers of one NATS share their rooms.
"""

import argparse
import asyncio
from typing import Optional

import wsbeat


class Chat:
    """Rooms are topics."""

    server: wsbeat.AsyncServer

    async def talk(self, ws: wsbeat.ServerConnection) -> None:
        room = f"room.{ws.path.strip('/') or 'lobby'}"
        try:
            await ws.subscribe(room)
        except wsbeat.InvalidError as error:
            return await ws.close(1008, str(error))
        try:
            async for message in ws:
                self.server.publish(room, message)
        finally:
            await ws.wait_closed()
            print(f"connection {ws.id} left {room}: {ws.close_info}", flush=True)

    async def run(self, port: int, nats: Optional[str]) -> None:
        async with wsbeat.serve(self.talk, "127.0.0.1", port, nats=nats) as self.server:
            print(f"listening on port {self.server.port}", flush=True)
            await self.server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="WebSocket chat with rooms")
    parser.add_argument("--port", type=int, default=9001, help="0: any free port")
    parser.add_argument("--nats", metavar="URL", help="where several of these servers meet")
    arguments = parser.parse_args()
    try:
        asyncio.run(Chat().run(arguments.port, arguments.nats))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
