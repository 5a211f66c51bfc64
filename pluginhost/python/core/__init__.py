"""What plugins import: the database, events, settings, notifications and live updates.

Each name here asks the runtime, which knows the caller: nothing in this package can reach the data
of another user, another plugin or the application itself.
"""
