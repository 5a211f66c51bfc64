"""Notifications for users.

from core.notifications_manager import notifications_manager

await notifications_manager.create_notification(
    user_id=user_id,
    notification_type="task_due",
    title="Task due tomorrow",
    message="Your task 'Review PR' is due tomorrow",
    metadata={"task_id": task_id},
)
"""

from typing import Any, Dict, Iterable, List, Optional

import _mozaiks
from mozaiks import _client


class NotificationsManager:
    """See the module's text. There is one, ``notifications_manager``."""

    async def create_notification(
        self,
        user_id: str,
        notification_type: str,
        title: str,
        message: str,
        metadata: Optional[Dict[str, Any]] = None,
        channels: Optional[List[str]] = None,
    ) -> Dict[str, Any]:
        """Creates one; returns ``{"id": …}``, the id under which it is stored.

        ``channels`` narrows what the user's preferences allow; None leaves it to them.
        """
        arguments: Dict[str, Any] = {
            "user_id": user_id,
            "type": notification_type,
            "title": title,
            "message": message,
        }
        if metadata is not None:
            arguments["metadata"] = metadata
        if channels is not None:
            arguments["channels"] = list(channels)
        result: Dict[str, Any] = await _client.request(
            _mozaiks.NOTIFICATIONS_CREATE, _client.JSON, arguments
        )
        return result

    async def create_bulk_notifications(
        self,
        user_ids: Iterable[str],
        notification_type: str,
        title: str,
        message: str,
        metadata: Optional[Dict[str, Any]] = None,
        channels: Optional[List[str]] = None,
    ) -> List[str]:
        """Creates the same for several users, one after the other; returns their ids."""
        return [
            (
                await self.create_notification(
                    user_id, notification_type, title, message, metadata, channels
                )
            )["id"]
            for user_id in user_ids
        ]


notifications_manager = NotificationsManager()
