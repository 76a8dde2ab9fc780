"""The bus: RabbitMQ, and its twin in this process. Strangers to the store; both know only the service's ports."""
