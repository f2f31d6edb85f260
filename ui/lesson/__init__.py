"""ui.lesson"""
