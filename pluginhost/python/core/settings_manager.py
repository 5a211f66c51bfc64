"""Settings that a user has made in this plugin.

    from core.settings_manager import settings_manager

    settings = await settings_manager.get_plugin_settings(user_id, "my_plugin")
    await settings_manager.save_plugin_settings(user_id, "my_plugin", {"theme": "dark"})

The runtime knows the user and the plugin; naming another one is an error that says so.
"""

from typing import Any, Dict

import _mozaiks
from mozaiks import _client


class SettingsManager:
    """See the module's text. There is one, ``settings_manager``."""

    async def get_plugin_settings(self, user_id: str, plugin_name: str) -> Any:
        """What was saved last, or ``{}``."""
        return await _client.request(
            _mozaiks.SETTINGS_GET,
            _client.JSON,
            {"user_id": user_id, "plugin": plugin_name},
        )

    async def save_plugin_settings(
        self, user_id: str, plugin_name: str, settings: Any
    ) -> Dict[str, Any]:
        """Replaces the settings by any JSON value. Returns ``{"success": True}``."""
        result: Dict[str, Any] = await _client.request(
            _mozaiks.SETTINGS_SAVE,
            _client.JSON,
            {"user_id": user_id, "plugin": plugin_name, "settings": settings},
        )
        return result


settings_manager = SettingsManager()
