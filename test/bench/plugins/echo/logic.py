"""The smallest useful answer: what the runtime around it costs is what is measured. The FastAPI peer
runs this same file in process."""


async def execute(data):
    return {"message": "Hello " + data.get("name", "you"), "user": data["user_id"]}
