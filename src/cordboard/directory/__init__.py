"""Agents, actions, phone books, gateways, numbers and keys."""
