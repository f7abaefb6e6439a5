"""Starts and stops what the example consists of: PostgreSQL, the backend, and the gateway before it.

For `run`, `measure` and the tests. Everything lives on free loopback ports and in one temporary folder, which is gone
afterwards. The backend knows nothing of this package, nor of the gateway.
"""
