"""Tasks of each user. README.md lists the actions.

This file maps requests to answers; what a task is stands in tasks.py. No query names the user: the
runtime gives a call the documents of its caller and no others.
"""

import logging
from typing import Any, Awaitable, Callable, Dict

from core.event_bus import event_bus
from core.notifications_manager import notifications_manager
from core.settings_manager import settings_manager
from core.websocket_manager import websocket_manager

from . import tasks
from .tasks import Invalid, NotFound

logger = logging.getLogger("mozaiks_plugins.task_manager")

PLUGIN = "task_manager"
DEFAULT_SETTINGS: Dict[str, Any] = {"notify_on_completion": True, "default_priority": "normal"}

Data = Dict[str, Any]


async def execute(data: Data) -> Data:
    """Runs one action. Errors are answers, with the codes that the runtime turns into a status."""
    action = data.get("action")
    handler = ACTIONS.get(action) if isinstance(action, str) else None
    if handler is None:
        return {"error": f"Unknown action: {action}", "error_code": "VALIDATION_ERROR"}
    try:
        return await handler(data)
    except Invalid as error:
        return {
            "error": str(error),
            "error_code": "VALIDATION_ERROR",
            "details": {"field": error.field, "message": str(error)},
        }
    except NotFound:
        return {"error": "Task not found", "error_code": "NOT_FOUND"}


async def list_tasks(data: Data) -> Data:
    return await tasks.find(data)


async def create_task(data: Data) -> Data:
    settings = await load_settings(data["user_id"])
    task = await tasks.create(data, settings["default_priority"])
    await announce(data["user_id"], "created", task)
    return {"success": True, "id": task["id"], "task": task}


async def get_task(data: Data) -> Data:
    return {"task": await tasks.get(tasks.task_id(data))}


async def update_task(data: Data) -> Data:
    before, task = await tasks.update(tasks.task_id(data), data)
    await announce(data["user_id"], "updated", task)
    if task["status"] == "completed" and before != "completed":
        await on_completed(data["user_id"], task)
    return {"success": True, "task": task}


async def complete_task(data: Data) -> Data:
    return await update_task({**data, "status": "completed"})


async def delete_task(data: Data) -> Data:
    task = await tasks.delete(tasks.task_id(data))
    await announce(data["user_id"], "deleted", {"id": task["id"], "title": task["title"]})
    return {"success": True}


async def get_settings(data: Data) -> Data:
    return {"settings": await load_settings(data["user_id"])}


async def save_settings(data: Data) -> Data:
    settings = tasks.check_settings(data.get("settings"), DEFAULT_SETTINGS)
    await settings_manager.save_plugin_settings(data["user_id"], PLUGIN, settings)
    return {"success": True, "settings": {**DEFAULT_SETTINGS, **settings}}


async def load_settings(user_id: str) -> Data:
    saved = await settings_manager.get_plugin_settings(user_id, PLUGIN)
    return {**DEFAULT_SETTINGS, **(saved or {})}


async def announce(user_id: str, what: str, task: Data) -> None:
    """Tells other plugins, and the browsers of the user."""
    event_bus.publish(f"{PLUGIN}:task_{what}", {"user_id": user_id, "task_id": task["id"]})
    await websocket_manager.send_to_user(
        user_id, {"type": f"{PLUGIN}_update", "action": what, "data": task}
    )


async def on_completed(user_id: str, task: Data) -> None:
    """Completing a task is an event of its own, and a notification where the user wants one."""
    event_bus.publish(f"{PLUGIN}:task_completed", {"user_id": user_id, "task_id": task["id"]})
    if not (await load_settings(user_id))["notify_on_completion"]:
        return
    await notifications_manager.create_notification(
        user_id=user_id,
        notification_type="task_manager_completed",
        title="Task completed",
        message=f"You have completed '{task['title']}'.",
        metadata={"task_id": task["id"]},
    )
    logger.info("task %s is completed", task["id"])


ACTIONS: Dict[str, Callable[[Data], Awaitable[Data]]] = {
    "list": list_tasks,
    "create": create_task,
    "get": get_task,
    "update": update_task,
    "complete": complete_task,
    "delete": delete_task,
    "get_settings": get_settings,
    "save_settings": save_settings,
}
