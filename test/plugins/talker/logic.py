"""Writes to every place where a plugin may write."""
import logging
import sys

logger = logging.getLogger("mozaiks_plugins.talker")


async def execute(data):
    text = data["text"]
    if data["to"] == "logger":
        logger.log(getattr(logging, data["level"]), text)
    elif data["to"] == "stdout":
        print(text, flush=True)
    elif data["to"] == "stderr":
        print(text, file=sys.stderr, flush=True)
    elif data["to"] == "exception":
        try:
            raise RuntimeError(text)
        except RuntimeError:
            logger.exception("caught")
    return {"said": len(text)}
