"""The pure domain: model, one transition table, decisions. Knows no XML, SQL, AMQP, asyncio or clock."""
