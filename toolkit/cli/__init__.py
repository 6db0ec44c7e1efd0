"""The nme command. No numerics here."""
