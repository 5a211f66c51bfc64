"""Configuration that plugins import: ``core.config.database``."""
