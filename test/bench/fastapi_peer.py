"""The peer: the same plugin behind FastAPI and uvicorn, in process, as one would run it without us. A
plugin that needs the runtime's database has its like in peer_plugins.

    fastapi_peer.py PORT        the key is in JWT_SECRET, the application in MOZAIKS_APP_ID

What a request costs here is what the documents of the reference describe: check the token, look the
plugin up, parse the body, put the context in, await execute() under a time limit, answer.
"""
import asyncio
import importlib.util
import os
import pathlib
import sys

import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

APP_ID = os.environ["MOZAIKS_APP_ID"]
SECRET = os.environ["JWT_SECRET"]
TIMEOUT_SECONDS = 30

app = FastAPI()
bearer = HTTPBearer()
plugins = {}


def load(folder, other):
    for logic in sorted(folder.glob("*/logic.py")):
        own = other / logic.parent.name / "logic.py"
        logic = own if own.exists() else logic
        spec = importlib.util.spec_from_file_location(f"plugins.{logic.parent.name}.logic", logic)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            # What imports the runtime's packages and has no like in peer_plugins is not compared.
            if error.name.partition(".")[0] not in ("core", "mozaiks", "nexus"):
                raise
            continue
        plugins[logic.parent.name] = module


async def current_user(credentials: HTTPAuthorizationCredentials = Depends(bearer)):
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"],
                            options={"require": ["exp", "sub"]})
    except jwt.PyJWTError:
        raise HTTPException(401, "Could not validate credentials",
                            {"WWW-Authenticate": "Bearer"}) from None
    roles = claims.get("roles", [])
    return {"user_id": claims.get("user_id", claims["sub"]),
            "username": claims.get("username", claims["sub"]), "roles": roles,
            "is_superadmin": "superadmin" in roles}


@app.post("/api/execute/{plugin_name}")
async def execute(plugin_name: str, request: Request, user: dict = Depends(current_user)):
    plugin = plugins.get(plugin_name)
    if plugin is None:
        raise HTTPException(404, f"Plugin '{plugin_name}' not found or disabled")
    try:
        data = await request.json()
    except ValueError:
        raise HTTPException(400, "Invalid JSON payload") from None
    data["app_id"] = APP_ID
    data["user_id"] = user["user_id"]
    data["_context"] = {"app_id": APP_ID, **user}
    try:
        result = await asyncio.wait_for(plugin.execute(data), TIMEOUT_SECONDS)
    except asyncio.TimeoutError:
        raise HTTPException(504, "Plugin execution timed out") from None
    if isinstance(result, dict) and "error" in result:
        raise HTTPException(400, result["error"])
    return result


@app.get("/livez")
async def livez():
    return "ok"


if __name__ == "__main__":
    here = pathlib.Path(__file__).resolve().parent
    load(here / "plugins", here / "peer_plugins")
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
                log_level="warning", access_log=False)
