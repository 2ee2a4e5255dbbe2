"""The shop-assistant task family and the recipe of the two small models that answer it."""
