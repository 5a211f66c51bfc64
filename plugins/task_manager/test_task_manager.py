"""task_manager, in a worker of the Python runtime, on a store in memory."""

from pathlib import Path

import pytest

from fake_director import VALUE, Worker
from fake_store import FakeStore


class Tasks:
    """Calls of one user."""

    def __init__(self, worker, store):
        self.worker = worker
        self.store = store

    def __call__(self, action, **data):
        call_id = self.worker.execute({"action": action, **data, "user_id": self.store.user})
        result = self.worker.result(call_id)
        assert result.outcome == VALUE, result
        return result.value


@pytest.fixture
def tasks():
    with Worker(Path(__file__).parent, "task_manager") as worker:
        ready = worker.start()
        assert ready["ok"] and ready["entry"] == "execute", ready
        yield Tasks(worker, FakeStore(worker))


def titles(answer):
    return [task["title"] for task in answer["items"]]


def test_life_of_a_task(tasks):
    created = tasks("create", title="  Milk ", due="2026-11-21", priority="high")
    assert created["success"] and created["task"]["title"] == "Milk"
    task_id = created["id"]
    task = tasks("get", task_id=task_id)["task"]
    assert task == created["task"]
    assert task["status"] == "open" and task["due"] == "2026-11-21" and task["completed_at"] is None
    assert task["created_at"].endswith("+00:00")
    updated = tasks("update", task_id=task_id, title="Oat milk", status="in_progress", due=None)
    assert updated["task"]["title"] == "Oat milk" and updated["task"]["due"] is None
    assert tasks("get", item_id=task_id)["task"] == updated["task"]
    done = tasks("complete", task_id=task_id)["task"]
    assert done["status"] == "completed" and done["completed_at"] is not None
    again = tasks("complete", task_id=task_id)["task"]
    assert again["completed_at"] == done["completed_at"]
    assert tasks("update", task_id=task_id, status="open")["task"]["completed_at"] is None
    assert tasks("delete", task_id=task_id) == {"success": True}
    for action in ("get", "update", "complete", "delete"):
        assert tasks(action, task_id=task_id, title="x")["error_code"] == "NOT_FOUND"


def test_events_messages_and_notifications(tasks):
    task_id = tasks("create", title="Milk")["id"]
    tasks("complete", task_id=task_id)
    tasks("complete", task_id=task_id)
    tasks("delete", task_id=task_id)
    assert [name for name, _ in tasks.store.events] == [
        "task_manager:task_created",
        "task_manager:task_updated",
        "task_manager:task_completed",
        "task_manager:task_updated",
        "task_manager:task_deleted",
    ]
    assert all(d == {"user_id": "user_1", "task_id": task_id} for _, d in tasks.store.events)
    assert [(m["type"], m["action"]) for m in tasks.store.messages] == [
        ("task_manager_update", action) for action in ("created", "updated", "updated", "deleted")
    ]
    (notification,) = tasks.store.notifications
    assert notification["user_id"] == "user_1" and "Milk" in notification["message"]
    tasks("save_settings", settings={"notify_on_completion": False})
    tasks("complete", task_id=tasks("create", title="Bread")["id"])
    assert len(tasks.store.notifications) == 1


def test_list(tasks):
    for title, priority, due in (
        ("b", "low", "2026-01-03"),
        ("a", "high", None),
        ("C (c)", "normal", "2026-01-01"),
    ):
        tasks("create", title=title, priority=priority, due=due)
    tasks("complete", task_id=tasks("list", search="(C")["items"][0]["id"])
    assert titles(tasks("list", sort="title")) == ["C (c)", "a", "b"]
    assert titles(tasks("list", sort="-priority")) == ["a", "C (c)", "b"]
    assert titles(tasks("list", sort="due")) == ["a", "C (c)", "b"]
    assert titles(tasks("list", sort="created_at")) == ["b", "a", "C (c)"]
    assert titles(tasks("list", status="open", sort="title")) == ["a", "b"]
    assert titles(tasks("list", priority="low")) == ["b"]
    assert titles(tasks("list", due_before="2026-01-02")) == ["C (c)"]
    page = tasks("list", sort="title", skip=1, limit=1)
    assert titles(page) == ["a"]
    assert (page["count"], page["total"], page["skip"], page["limit"]) == (1, 3, 1, 1)
    assert tasks("list", limit=1000)["limit"] == 100


def test_users_see_their_own(tasks):
    mine = tasks("create", title="mine")["id"]
    tasks.store.user = "user_2"
    assert tasks("list")["items"] == []
    assert tasks("get", task_id=mine)["error_code"] == "NOT_FOUND"


def test_settings(tasks):
    defaults = {"notify_on_completion": True, "default_priority": "normal"}
    assert tasks("get_settings")["settings"] == defaults
    saved = tasks("save_settings", settings={"default_priority": "high"})
    assert saved["settings"] == {"notify_on_completion": True, "default_priority": "high"}
    assert tasks("create", title="x")["task"]["priority"] == "high"


@pytest.mark.parametrize(
    "action, data, field",
    [
        ("create", {}, "title"),
        ("create", {"title": "   "}, "title"),
        ("create", {"title": 5}, "title"),
        ("create", {"title": "x" * 201}, "title"),
        ("create", {"title": "x", "description": "x" * 5001}, "description"),
        ("create", {"title": "x", "priority": "urgent"}, "priority"),
        ("create", {"title": "x", "priority": ["low"]}, "priority"),
        ("create", {"title": "x", "due": "tomorrow"}, "due"),
        ("create", {"title": "x", "due": 20260101}, "due"),
        ("get", {}, "task_id"),
        ("get", {"task_id": "not-an-id"}, "task_id"),
        ("get", {"task_id": {"$ne": None}}, "task_id"),
        ("update", {"task_id": "a" * 24}, "title"),
        ("list", {"sort": "user_id"}, "sort"),
        ("list", {"sort": ["title"]}, "sort"),
        ("list", {"skip": -1}, "skip"),
        ("list", {"limit": True}, "limit"),
        ("list", {"status": {"$ne": "open"}}, "status"),
        ("list", {"search": 5}, "search"),
        ("save_settings", {}, "settings"),
        ("save_settings", {"settings": {"colour": "red"}}, "colour"),
        ("save_settings", {"settings": {"notify_on_completion": 1}}, "notify_on_completion"),
        ("save_settings", {"settings": {"default_priority": "x"}}, "default_priority"),
    ],
)
def test_validation(tasks, action, data, field):
    answer = tasks(action, **data)
    assert answer["error_code"] == "VALIDATION_ERROR"
    assert answer["details"]["field"] == field and answer["details"]["message"] == answer["error"]


@pytest.mark.parametrize("action", ["", None, "nothing", 5, ["list"], "__class__"])
def test_unknown_action(tasks, action):
    assert tasks(action)["error_code"] == "VALIDATION_ERROR"
