"""Live messages: to everybody, or to the caller."""
from core.websocket_manager import websocket_manager


async def execute(data):
    message = {"type": "live", "k": data["k"]}
    if data["action"] == "broadcast":
        return {"recipients": await websocket_manager.broadcast(message)}
    return {"recipients": await websocket_manager.send_to_user(data["user_id"], message)}
