"""ui.predict"""
