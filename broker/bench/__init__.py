"""The figures of `make bench`, measured on real processes and a real Kafka."""
