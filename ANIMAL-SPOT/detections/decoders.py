"""Names of the ways in which windows become annotations; light, for command lines."""

ORIGINAL, EVENTS = "original", "events"
DECODERS = (ORIGINAL, EVENTS)
