"""The pages of a study, on NiceGUI, and the server that shows them."""
