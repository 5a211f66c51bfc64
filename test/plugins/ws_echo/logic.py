"""Echoes what comes over its WebSocket, and does what a test asks for in its query."""
import asyncio
import os

from core.config.database import db
from mozaiks.streams import StreamBroken

seen = {"open": 0, "closed": [], "cancelled": 0}


async def websocket(socket, data):
    action = data.get("action", "echo")
    seen["open"] += 1
    try:
        if action == "who":
            await db["visits"].insert_one({})
            await socket.send_json({"user": data["user_id"], "path": data["_path"],
                                    "query": data.get("q"), "token": "access_token" in data,
                                    "visits": await db["visits"].count_documents({})})
        elif action == "close":
            await socket.close(4321, "as you wish")
        elif action == "raise":
            raise RuntimeError("on purpose")
        elif action == "die":
            os._exit(3)
        elif action == "flood":
            while True:
                await socket.send(b"x" * 65536)
        elif action == "deaf":
            await asyncio.sleep(3600)
        else:
            async for message in socket:
                await socket.send(message)
    except (StreamBroken, asyncio.CancelledError) as error:
        seen["cancelled"] += isinstance(error, asyncio.CancelledError)
        raise
    finally:
        seen["open"] -= 1
        seen["closed"].append(socket.close_code)


async def execute(data):
    return seen
