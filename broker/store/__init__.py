"""The claim-check store: what is too large for a record lies there, records say where."""
