"""ui.compare"""
