"""ui.sweep"""
