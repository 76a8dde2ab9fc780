"""The service under faults: processes, servers and connections are really killed, and a ledger says what that cost."""
