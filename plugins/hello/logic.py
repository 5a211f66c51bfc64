"""The smallest plugin: greets its caller."""


async def execute(data: dict) -> dict:
    return {"message": f"Hello {data.get('name') or data['_context']['username']}!"}
