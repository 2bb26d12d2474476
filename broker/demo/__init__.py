"""The demonstration: a real trace through a real Kafka, with kills, an outage, and an audit."""
