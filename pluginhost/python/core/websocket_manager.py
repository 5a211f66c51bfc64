"""Live updates to the browsers of users.

    from core.websocket_manager import websocket_manager

    await websocket_manager.send_to_user(user_id, {"type": "my_plugin_update", "data": {...}})
    await websocket_manager.broadcast({"type": "system_announcement", "message": "..."})

Another user than the caller needs the permission ``users.any``.
"""

from typing import Any

import _mozaiks
from mozaiks import _client


class WebSocketManager:
    """See the module's text. There is one, ``websocket_manager``."""

    async def send_to_user(self, user_id: str, message: Any) -> int:
        """Sends a JSON value to every connection of a user. Returns how many there were."""
        return await self._send(_mozaiks.WEBSOCKET_SEND, {"user_id": user_id, "message": message})

    async def broadcast(self, message: Any) -> int:
        """Sends a JSON value to every connected user. Returns how many connections there were."""
        return await self._send(_mozaiks.WEBSOCKET_BROADCAST, {"message": message})

    @staticmethod
    async def _send(code: int, arguments: Any) -> int:
        result = await _client.request(code, _client.JSON, arguments)
        return int(result.get("recipients", 0))


websocket_manager = WebSocketManager()
