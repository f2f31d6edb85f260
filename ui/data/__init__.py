"""ui.data"""
