"""The same API with fastapi-cache2 on Redis: what the gateway is measured against."""
