"""OpenAI's Images and Chat Completions interfaces over the agent: any OpenAI client can ask it for a picture.

`app.create_app` makes the application, `server.serve` runs it. Both need the extra `serve`.
"""
