"""The migration platform's API: clients, engagements, discovery flows, imports and the mapping of their columns."""
