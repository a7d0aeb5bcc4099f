#!/usr/bin/env python3
"""Everything that one client sends goes to all; without asyncio.

    python3 callbacks_chat.py --port 9001
"""

import argparse

import wsbeat


def main() -> None:
    parser = argparse.ArgumentParser(description="WebSocket chat with callbacks")
    parser.add_argument("--port", type=int, default=9001, help="0: any free port")
    arguments = parser.parse_args()
    server = wsbeat.Server(port=arguments.port)

    @server.on_message
    def on_message(conn: wsbeat.Connection, message: "str | bytes") -> None:
        wsbeat.broadcast(server.connections, message)

    @server.on_close
    def on_close(conn: wsbeat.Connection, info: wsbeat.CloseInfo) -> None:
        print(f"connection {conn.id}: {info.cause}", flush=True)

    server.start()
    print(f"listening on port {server.port}", flush=True)
    try:
        input("Enter stops\n")
    except (EOFError, KeyboardInterrupt):
        pass
    server.stop()


if __name__ == "__main__":
    main()
