"""An ordinary service that does what 11.6 asks, written as one would write it without thinking of speed.

It takes the same signed 11.6, from a quorum queue, and does the same job for it: checks the signature with signxml
against certificates that it keeps, checks the schema with lxml, the RequestID, User, role, campaign, deadline and each
hub; replaces the Supplier's list and schedule; writes history; signs the Service Response and the outcome alert with
signxml and publishes both, persistent and mandatory, to quorum queues, waiting for each confirm; and acknowledges.
It uses the customary libraries as their manuals show it: aio-pika, SQLAlchemy's ORM, one session and one commit a
message. Its tables have the indexes that its queries need, its schema is compiled once, its engine pools connections,
and it prefetches.

What it leaves out is in its favour: no outbox (it publishes after its commit, so a crash between loses messages), no
clock, no other Service Request, no metrics, no log, no retries, no guard against deep or huge documents, and of the
warnings of an 11.6 only the one for unknown hubs.
"""
