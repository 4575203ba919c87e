"""How well any model can do: what people's repeated ratings say of their own consistency."""
